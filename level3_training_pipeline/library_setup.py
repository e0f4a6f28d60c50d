"""Settings of Prefect, MLflow and matplotlib, made in the environment before they are imported."""

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from shared.errors import UserError
from shared.files import check_database
from shared.processes.reset import DEMO, LEVELS
from shared.settings import Settings, read_settings

STORE, ARTEFACTS = "mlflow.db", "artifacts"  # the tracking store and its files, in level 3's state folder


def make_ui() -> str:
    """The command that opens the pages of the store in which this process works."""
    place = read_settings().workspace
    own = place.removeprefix("level")
    return "make ui" if not place else f"make ui LEVEL={own}" if place in LEVELS else f"make ui MLOPS_WORKSPACE={place}"


def set_up_libraries(settings: Settings) -> None:
    """Keep the libraries' files in level 3's state folder, their telemetry off, and their logs out of the terminal.

    Raises UserError for a folder that was moved or copied, or that they cannot use.
    """
    if "?" in str(settings.state):
        raise UserError(f"MLflow and Prefect take no ? in {settings.state}. Remedy: MLOPS_STATE= a folder without one.")
    refuse_moved_state(settings)
    home = settings.level("level3") / "prefect"
    database = home / "prefect.db"
    check_database(database, f"move {database} away; Prefect begins anew, without the record of its runs")
    os.environ.update(
        {
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_LOGGING_LEVEL": "WARNING",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # it evaluates language models, with 8 processes in 600 MB
            "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
            "DO_NOT_TRACK": "1",
            "MALLOC_MMAP_THRESHOLD_": str(1 << 20),  # bytes: the memory of a year's column is returned when it is freed
            "MALLOC_ARENA_MAX": "2",
            "ARROW_DEFAULT_MEMORY_POOL": "system",  # its own one keeps 140 MB after reading the year
            "OMP_NUM_THREADS": "1",  # on shared cores, threads of scikit-learn that wait for each other cost more
            "PREFECT_HOME": str(home),
            "PREFECT_PROFILES_PATH": str(home / "profiles.toml"),
            "PREFECT_LOCAL_STORAGE_PATH": str(home / "results"),
            "PREFECT_TASKS_DISABLE_CACHING": "true",  # a result in a file names how it is loaded, as a pickle perhaps
            "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
            "PREFECT_CLI_PROMPT": "false",
            "GIT_PYTHON_REFRESH": "quiet",
            "MPLCONFIGDIR": str(settings.level("level3") / "matplotlib"),
        }
    )


def refuse_moved_state(settings: Settings) -> None:
    """Raise UserError where the tracking store was made in another folder.

    MLflow and Prefect record the full paths of their files, so a copy would write into the original. A store that is
    missing, locked or damaged is reported by those who need it: the platform serves without it.
    """
    folder = settings.level("level3")
    made: list[tuple[str]] = []
    with (
        suppress(sqlite3.DatabaseError),
        closing(sqlite3.connect(f"{(folder / STORE).as_uri()}?mode=ro", uri=True, timeout=1)) as store,
    ):
        made = store.execute("SELECT artifact_location FROM experiments").fetchall()
    for (location,) in made:
        if location.startswith("file:") and location != (folder / ARTEFACTS).as_uri():
            there = Path(url2pathname(urlsplit(location).path)).parent
            copy = (there / STORE).exists()
            place = settings.workspace or folder.name
            target = f"make reset LEVEL={place.removeprefix('level')}"
            anew = target if place in (*LEVELS, DEMO) else f"delete {settings.state / place}"
            raise UserError(
                f"{folder} {'is a copy of' if copy else 'was moved from'} {there}; its records name files by their "
                f"full paths, so this command would write there. Remedy: {anew}, to begin anew"
                f"{'' if copy else f'; or move it back to {there}'}."
            )
