"""MLflow: what is recorded of every trial and every model, and where."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import mlflow
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.data.meta_dataset import MetaDataset
from mlflow.entities import Run
from mlflow.types import ColSpec, DataType, Schema

from level3_training_pipeline.orchestration.process_identity import still_runs, this_process
from level3_training_pipeline.pipeline.data import Snapshot
from level3_training_pipeline.pipeline.evaluate import Evaluation
from level3_training_pipeline.pipeline.plots import calibration_plot, scores_plot, slices_plot
from level3_training_pipeline.pipeline.tune import Trial
from shared.data.schema import FLIGHT
from shared.settings import Settings

EXPERIMENT = "flight-delays"
LINEAGE = ["today", "data_digest", "commit", "code_digest", "python", "platform", "requirements_sha256"]


def tracking_uri(settings: Settings) -> str:
    """The store: SQLite, that waits up to a minute for another writer."""
    return f"sqlite:///{settings.level('level3') / 'mlflow.db'}?timeout=60"


def open_tracking(settings: Settings) -> MlflowClient:
    """The client of level 3's tracking store, which is made on first use, by one process at a time.

    A run whose process is gone is closed as KILLED: it stays on record, and nothing waits for it.
    """
    folder = settings.level("level3")
    mlflow.set_tracking_uri(tracking_uri(settings))
    with FileLock(folder / "mlflow.lock"):
        client = MlflowClient()
        if client.get_experiment_by_name(EXPERIMENT) is None:
            client.create_experiment(EXPERIMENT, artifact_location=(folder / "artifacts").as_uri())
    for run in runs(client, "attributes.status = 'RUNNING'"):
        if not still_runs(run.data.tags.get("process", "")):
            client.set_tag(run.info.run_id, "crashed", "its process is gone")
            client.set_terminated(run.info.run_id, status="KILLED")
    return client


def runs(client: MlflowClient, which: str) -> list[Run]:
    """All runs that `which` (an MLflow filter) selects, newest first."""
    experiment = client.get_experiment_by_name(EXPERIMENT)
    return list(client.search_runs([experiment.experiment_id], which, max_results=1000)) if experiment else []


@contextmanager
def tracked(name: str, tags: dict[str, str], parent: str | None = None) -> Iterator[Run]:
    """A run of this process, below `parent` if given; it ends FAILED when the block does."""
    mlflow.set_experiment(EXPERIMENT)
    with mlflow.start_run(
        run_name=name, tags={"process": this_process(), **tags}, parent_run_id=parent, nested=True
    ) as run:
        yield run


def record_choice(best: Trial, tuned_by: str) -> None:
    """The chosen parameters, and the run that holds the trials (an earlier one when that was cut off after tuning)."""
    mlflow.log_params(best.parameters)
    mlflow.set_tag("tuned_by", tuned_by)


def record_trial(parent: str, trial: Trial) -> None:
    """One run a trial, below the training's: of the same data, code and environment; it keeps no model."""
    client = MlflowClient()
    training = client.get_run(parent)
    lineage = {name: training.data.tags[name] for name in LINEAGE}
    with tracked(f"trial {trial.number}", {"kind": "trial", **lineage}, parent) as run:
        client.log_inputs(run.info.run_id, training.inputs.dataset_inputs if training.inputs else [])
        mlflow.log_params(trial.parameters)
        if trial.score:
            mlflow.log_metrics({f"validation_{name}": value for name, value in trial.score.as_dict().items()})


def record_data(snapshot: Snapshot) -> None:
    """The data set, its digest and the raw files it was made from, as the run's input."""
    source = CodeDatasetSource({"made_by": "level3_training_pipeline.pipeline.data.gather", **snapshot.raw})
    dataset = MetaDataset(source, name="history", digest=snapshot.digest[:36], schema=_contract())  # type: ignore[abstract]
    mlflow.log_input(dataset, context="training")
    mlflow.log_params({"today": snapshot.today, "data_digest": snapshot.digest, "rows": snapshot.rows})
    mlflow.log_dict(snapshot.raw, "raw_files.json")


def _contract() -> Schema:
    """The columns as the contract has them: rows at hand would tell by accident which of them may be missing."""
    kinds = {"float": DataType.double, "string": DataType.string, "datetime": DataType.datetime}
    return Schema(
        [
            ColSpec(kinds[re.split(r"[\d\[]", str(column.dtype))[0]], name, required=not column.nullable)
            for name, column in FLIGHT.columns.items()
        ]
    )


def record_evaluation(evaluation: Evaluation) -> None:
    """Every figure as a metric, the tables and the pictures as artefacts."""
    for name, result in evaluation.scores.items():
        prefix = "test" if name == "candidate" else name.replace(" ", "_")
        mlflow.log_metrics({f"{prefix}_{key}": value for key, value in result.as_dict().items()})
    for column, table in evaluation.slices.items():
        mlflow.log_metrics({f"{column}_{value}_log_loss": loss for value, loss in table["log_loss"].items()})
        mlflow.log_text(table.to_csv(), f"by_{column}.csv")
    mlflow.log_text(evaluation.days.to_csv(), "by_day.csv")
    mlflow.log_text(evaluation.calibration.to_csv(), "calibration.csv")
    mlflow.log_figure(calibration_plot(evaluation), "calibration.png")
    mlflow.log_figure(slices_plot(evaluation), "slices.png")
    mlflow.log_figure(scores_plot(evaluation.scores), "scores.png")
