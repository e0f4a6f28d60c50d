"""What MLflow keeps of a training: its data, each trial, the chosen parameters, and the evaluation."""

import re

import mlflow
from mlflow import MlflowClient
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.data.meta_dataset import MetaDataset
from mlflow.types import ColSpec, DataType, Schema

from level3_training_pipeline.pipeline import plots
from level3_training_pipeline.pipeline.data import Snapshot
from level3_training_pipeline.pipeline.evaluate import Evaluation
from level3_training_pipeline.pipeline.tune import Trial
from level3_training_pipeline.tracking import lineage
from level3_training_pipeline.tracking.mlflow_runs import tracked
from level3_training_pipeline.tracking.registry import MODEL
from shared.data.schema import FLIGHT


def record_data(snapshot: Snapshot) -> None:
    """The data set of the running MLflow run, its digest, and the raw files it was made from."""
    source = CodeDatasetSource({"made_by": "level3_training_pipeline.pipeline.data.gather", **snapshot.raw})
    dataset = MetaDataset(source, name="history", digest=snapshot.digest[:36], schema=_contract())  # type: ignore[abstract]
    mlflow.log_input(dataset, context="training")
    mlflow.log_params({"today": snapshot.today, "data_digest": snapshot.digest, "rows": snapshot.rows})
    mlflow.log_dict(snapshot.raw, "raw_files.json")


def _contract() -> Schema:
    """The columns of the data contract, which also says which columns may have missing values."""
    kinds = {"float": DataType.double, "string": DataType.string, "datetime": DataType.datetime}
    return Schema(
        [
            ColSpec(kinds[re.split(r"[\d\[]", str(column.dtype))[0]], name, required=not column.nullable)
            for name, column in FLIGHT.columns.items()
        ]
    )


def record_trial(parent: str, trial: Trial) -> None:
    """One run per trial, below the training's run and with its data, code and environment; it keeps no model."""
    client = MlflowClient()
    training = client.get_run(parent)
    tags = {"kind": "trial"} | {name: training.data.tags[name] for name in ("today", lineage.TAG)}
    name = "trial {}: {max_iter} trees, learning rate {learning_rate:.2f}".format(trial.number, **trial.parameters)
    with tracked(
        name, f"Validated on later flights than it was fitted on, for {training.info.run_name}.", tags, parent
    ) as run:
        client.log_inputs(run.info.run_id, training.inputs.dataset_inputs if training.inputs else [])
        mlflow.log_params(trial.parameters)
        if trial.score:
            mlflow.log_metrics({f"validation_{name}": value for name, value in trial.score.as_dict().items()})


def record_choice(best: Trial, tuned_by: str) -> None:
    """The chosen parameters, and the run that holds the trials: an earlier one if it was stopped after tuning."""
    mlflow.log_params(best.parameters)
    mlflow.set_tag("tuned_by", tuned_by)


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
    mlflow.log_figure(plots.calibration(evaluation), "calibration.png")
    mlflow.log_figure(plots.slices(evaluation), "slices.png")
    mlflow.log_figure(plots.scores(evaluation), "scores.png")


def skills(client: MlflowClient) -> list[float]:
    """Of each registered version that was evaluated, the share of the base rate's loss that it saved on its test."""
    versions = client.search_model_versions(f"name = '{MODEL}'")
    metrics = [client.get_run(one.run_id).data.metrics for one in versions if one.run_id]
    return [1 - one["test_log_loss"] / one["base_rate_log_loss"] for one in metrics if "base_rate_log_loss" in one]
