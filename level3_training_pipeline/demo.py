"""The tables and the lines of evidence of `make level3`, read back from the tracking store and the registry."""

from dataclasses import replace
from tempfile import TemporaryDirectory

import pandas as pd
from mlflow import MlflowClient
from prefect import Task

from level3_training_pipeline.pipeline import data, flow
from level3_training_pipeline.pipeline.data import Snapshot
from level3_training_pipeline.pipeline.plots import FEWEST
from level3_training_pipeline.tracking import mlflow_runs
from level3_training_pipeline.tracking.registry import Version
from shared.console import show_table
from shared.data.schema import DataError
from shared.files import short_commit, short_digest, write_parquet

MANUAL_STEPS = [  # role, manual step, what it blocks: from a new month of data to a model that serves
    ("data scientist", "reads the record of the new version: make ui", "the deployment"),
    ("data scientist", "make deploy VERSION=n", "every prediction"),
]
PARAMETERS = {  # of a trial: its name, and the title of its column
    "l2_regularization": "l2",
    "learning_rate": "learning",
    "max_features": "columns",
    "max_iter": "trees",
    "max_leaf_nodes": "leaves",
    "min_samples_leaf": "in a leaf",
}
MODELS = {  # on the test flights: the name of the model, and the prefix of its metrics
    "candidate": "test",
    "champion": "champion",
    "logistic regression": "logistic_regression",
    "base rate": "base_rate",
}
LINEAGE = [
    *("today", "trials", "data_digest", "commit", "code_digest", "requirements_sha256", "python", "model_sha256"),
    *("prefect_flow_run", "deployed_by", "deployed_at", "release"),
]
DIGESTS = ("data_digest", "code_digest", "requirements_sha256", "model_sha256")


def check_stale_labels(snapshot: Snapshot) -> str:
    """Remove the labels of the last three days from a copy of the history; returns why the data gate refuses it."""
    known = data.read(snapshot.file)
    copy = snapshot.file.with_name("stale.parquet")
    write_parquet(known[known["label_known_at"] < snapshot.now - pd.Timedelta(days=3)], copy)
    try:
        data.validate(replace(snapshot, file=copy))
    except DataError as error:
        return error.reason.removeprefix(f"{copy}: ").rstrip(".")
    raise AssertionError("the data gate accepted labels that stop three days ago")


def describe_pipeline(again: int) -> str:
    """The number of steps, and the version that the second of two equal trainings returned."""
    steps = sum(isinstance(one, Task) for one in vars(flow).values())
    return f"{steps} steps, one command; given again: version {again}"


def show_trials(client: MlflowClient, version: Version) -> str:
    """Print the trials of the version's training, best first; returns one line of evidence."""
    training = client.get_run(version.run_id)
    parent = training.data.tags["tuned_by"]
    trials = mlflow_runs.runs(client, f"tags.`mlflow.parentRunId` = '{parent}' and tags.kind = 'trial'")
    if "validation_log_loss" not in trials[0].data.metrics:
        return "1 trial, which is not compared with others"
    trials.sort(key=lambda run: run.data.metrics["validation_log_loss"])
    rows = [
        [
            (run.info.run_name or "").partition(":")[0],
            *(f"{float(run.data.params[name]):.3g}" for name in PARAMETERS),
            f"{run.data.metrics['validation_log_loss']:.3f}",
        ]
        for run in trials
    ]
    flights = trials[0].data.metrics["validation_rows"]
    show_table(f"Trials, validated on {flights:,.0f} later flights", ["", *PARAMETERS.values(), "log loss"], rows)
    return f"{len(trials)} trials x {len(PARAMETERS)} parameters, {len(training.data.metrics)} metrics"


def show_evaluation(client: MlflowClient, version: Version) -> str:
    """Print candidate, baselines and champion on the same flights; returns one line of evidence."""
    metrics = client.get_run(version.run_id).data.metrics
    figures = {"log_loss": ".3f", "auc": ".2f", "calibration_error": ".2f"}  # digits that another seed does not change
    rows = [
        [name, *(format(metrics[f"{prefix}_{figure}"], form) for figure, form in figures.items())]
        for name, prefix in MODELS.items()
        if f"{prefix}_log_loss" in metrics
    ]
    title = f"The last 14 days before today: {metrics['test_rows']:,.0f} flights that no model was fitted to"
    show_table(title, ["", "log loss", "AUC", "calibration error"], rows)
    with TemporaryDirectory() as folder:
        files = [client.download_artifacts(version.run_id, f"by_{name}.csv", folder) for name in ("origin", "carrier")]
        slices = pd.concat([pd.read_csv(file, index_col=0) for file in files])
    hardest = slices[slices["rows"] >= min(FEWEST, slices["rows"].max())].sort_values("log_loss").iloc[-1]
    loss = f"log loss {hardest['log_loss']:.2f} ± {hardest['interval']:.2f}"
    return f"{len(slices)} slices; hardest {hardest.name}: {loss}"


def show_lineage(version: Version) -> str:
    """Print where the version comes from; returns one line of evidence."""
    tags = {name: short_digest(one) if name in DIGESTS else one for name, one in version.tags.items()}
    rows = [[name, tags[name]] for name in LINEAGE if name in tags]
    show_table(f"Version {version.number}: where it comes from", ["", ""], [["MLflow run", version.run_id], *rows])
    commit, run = short_commit(tags["commit"]), short_digest(version.run_id)
    return f"run {run} → commit {commit} → data {tags['data_digest']}"
