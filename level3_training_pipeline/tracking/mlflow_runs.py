"""The tracking store: open it, find runs in it, and begin one."""

from collections.abc import Iterator
from contextlib import contextmanager

import mlflow
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import Run

from level3_training_pipeline.library_setup import ARTEFACTS, STORE
from shared.files import check_database
from shared.processes.process_identity import still_runs, this_process
from shared.settings import Settings

EXPERIMENT = "flight-delays"
ABOUT = {
    "mlflow.note.content": "Each training is a run as of a day, with its trials below it. Lower log loss is better.",
    "mlflow.experimentKind": "custom_model_development",  # else the pages open at charts of language models
}


def tracking_uri(settings: Settings) -> str:
    """The address of the store: an SQLite file, for which a writer waits up to a minute."""
    return f"sqlite:///{settings.level('level3') / STORE}?timeout=60"


def open_tracking(settings: Settings) -> MlflowClient:
    """The client of level 3's tracking store; the first process to open the store makes it.

    A run whose process has ended without closing it is closed as KILLED.
    """
    folder = settings.level("level3")
    database = folder / STORE
    check_database(database, f"move {database} and {ARTEFACTS} beside it away; level 3 begins without its versions")
    mlflow.set_tracking_uri(tracking_uri(settings))
    mlflow.set_registry_uri(tracking_uri(settings))
    with FileLock(folder / "mlflow.lock"):
        client = MlflowClient()
        if client.get_experiment_by_name(EXPERIMENT) is None:
            client.create_experiment(EXPERIMENT, (folder / ARTEFACTS).as_uri(), ABOUT)
            client.delete_experiment("0")  # MLflow's own "Default", which nothing uses
    for run in runs(client, "attributes.status = 'RUNNING'"):
        if not still_runs(run.data.tags.get("process", "")):
            client.set_tag(run.info.run_id, "crashed", "its process is gone")
            client.set_terminated(run.info.run_id, status="KILLED")
    return client


def page_of_runs(address: str) -> str:
    """The page to begin with in MLflow's at `address`: by itself it opens at a tour of its features."""
    return f"{address}/#/experiments/{mlflow.set_experiment(EXPERIMENT).experiment_id}/runs"


def runs(client: MlflowClient, which: str) -> list[Run]:
    """All runs that `which` (an MLflow filter) selects, newest first."""
    experiment = client.get_experiment_by_name(EXPERIMENT)
    return list(client.search_runs([experiment.experiment_id], which, max_results=1000)) if experiment else []


@contextmanager
def tracked(name: str, about: str, tags: dict[str, str], parent: str | None = None) -> Iterator[Run]:
    """A run of this process, below `parent` if given, described by `about`; it is FAILED when the block raises."""
    mlflow.set_experiment(EXPERIMENT)
    tags = {"process": this_process(), **tags}
    with mlflow.start_run(run_name=name, tags=tags, parent_run_id=parent, nested=True, description=about) as run:
        yield run
