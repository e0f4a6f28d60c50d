"""Settings of Prefect, MLflow and matplotlib, made in the environment before they are imported."""

import os

from shared.errors import UserError
from shared.files import check_database
from shared.settings import Settings


def set_up_libraries(settings: Settings) -> None:
    """Keep the libraries' files in level 3's state folder, their telemetry off, and their logs out of the terminal.

    Raises UserError for a state folder that they cannot use.
    """
    if "?" in str(settings.state):
        raise UserError(f"MLflow and Prefect take no ? in {settings.state}. Remedy: MLOPS_STATE= a folder without one.")
    home = settings.level("level3") / "prefect"
    database = home / "prefect.db"
    check_database(database, f"move {database} away; Prefect begins anew, without the record of its runs")
    os.environ.update(
        {
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_LOGGING_LEVEL": "WARNING",
            "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
            "DO_NOT_TRACK": "1",
            "OMP_NUM_THREADS": "1",  # on shared cores, threads of scikit-learn that wait for each other cost more
            "PREFECT_HOME": str(home),
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
