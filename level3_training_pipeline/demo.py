"""What `make level3` shows: every figure is read back from the tracking store, the registry or this run."""

from dataclasses import replace

import numpy as np
import pandas as pd
from mlflow import MlflowClient
from numpy.typing import NDArray
from prefect import Task

from level3_training_pipeline.pipeline import data, flow
from level3_training_pipeline.pipeline.data import Snapshot
from level3_training_pipeline.tracking import mlflow_runs
from level3_training_pipeline.tracking.registry import Version
from shared.console import show_table
from shared.data.flights import write_whole
from shared.data.schema import DataError
from shared.score import Score, by_month

# Who acts, does what, and what waits for it, from a new month of data to a model that serves.
ACTS = [
    ("data scientist", "reads the record of the new version: make ui", "the deployment"),
    ("data scientist", "make deploy", "every prediction"),
]


def pipeline(number: int, again: int) -> str:
    """What the pipeline is, and which version it made when it was started, and again."""
    steps = sum(isinstance(one, Task) for one in vars(flow).values())
    return f"{steps} steps, one command: version {number}; given again: version {again}"


def show_trials(client: MlflowClient, version: Version) -> str:
    """Print the trials of the version's training, best first; returns one line of evidence."""
    training = client.get_run(version.run_id)
    trials = mlflow_runs.runs(
        client, f"tags.`mlflow.parentRunId` = '{training.data.tags['tuned_by']}' and tags.kind = 'trial'"
    )
    trials.sort(key=lambda run: run.data.metrics["validation_log_loss"])
    names = {name: name.split("_")[0] for name in sorted(trials[0].data.params)}
    names |= {
        "max_features": "columns",
        "max_iter": "trees",
        "max_leaf_nodes": "leaves",
        "min_samples_leaf": "in a leaf",
    }
    rows = [
        [
            run.info.run_name or "",
            *(f"{float(run.data.params[name]):.3g}" for name in names),
            f"{run.data.metrics['validation_log_loss']:.4f}",
        ]
        for run in trials
    ]
    flights = trials[0].data.metrics["validation_rows"]
    show_table(f"Trials, validated on {flights:,.0f} later flights", ["", *names.values(), "log loss"], rows)
    return f"{len(trials)} trials x {len(names)} parameters, {len(training.data.metrics)} metrics of the training"


def show_evaluation(client: MlflowClient, version: Version) -> str:
    """Print candidate, baselines and champion on the same flights; returns one line of evidence."""
    metrics = client.get_run(version.run_id).data.metrics
    names = {
        "candidate": "test",
        "champion": "champion",
        "logistic regression": "logistic_regression",
        "climatology": "climatology",
    }
    rows = [
        [
            name,
            f"{metrics[f'{prefix}_log_loss']:.4f}",
            f"{metrics[f'{prefix}_auc']:.4f}",
            f"{metrics[f'{prefix}_calibration_error']:.4f}",
        ]
        for name, prefix in names.items()
        if f"{prefix}_log_loss" in metrics
    ]
    show_table(
        f"The last 14 days before today: {metrics['test_rows']:,.0f} flights nothing was fitted to",
        ["", "log loss", "AUC", "calibration error"],
        rows,
    )
    slices = {name: value for name, value in metrics.items() if name.startswith(("origin_", "carrier_"))}
    worst = max(slices, key=lambda name: slices[name])
    return (
        f"{len(slices)} slices; worst {worst.removesuffix('_log_loss').replace('_', ' ')}: log loss {slices[worst]:.3f}"
    )


def show_by_month(later: pd.DataFrame, probability: NDArray[np.float64], overall: Score) -> pd.DataFrame:
    """Print the score of each month that came after; returns the table."""
    months = by_month(later, probability)
    rows = [
        [str(name), f"{row.rows:,.0f}", f"{row.late:.1%}", f"{row.log_loss:.4f}", f"{row.auc:.4f}"]
        for name, row in months.iterrows()
    ]
    rows.append(["all", f"{overall.rows:,}", f"{overall.late:.1%}", f"{overall.log_loss:.4f}", f"{overall.auc:.4f}"])
    show_table(
        "What came after today: every labelled flight, model frozen", ["", "flights", "late", "log loss", "AUC"], rows
    )
    return months


def show_lineage(version: Version) -> str:
    """Print where the version comes from; returns one line of evidence."""
    names = [
        "today",
        "trials",
        "data_digest",
        "commit",
        "code_digest",
        "requirements_sha256",
        "python",
        "model_sha256",
        "prefect_flow_run",
    ]
    rows = [
        [name, version.tags[name][:40]]
        for name in [*names, "deployed_by", "deployed_at", "release"]
        if name in version.tags
    ]
    show_table(f"Version {version.number}: where it comes from", ["", ""], [["MLflow run", version.run_id], *rows])
    commit, digest = version.tags["commit"][:8], version.tags["data_digest"][:8]
    return f"version {version.number} → run {version.run_id[:8]} → commit {commit} → data {digest}"


def stale_labels_stop(snapshot: Snapshot) -> str:
    """Leave the last three days' labels out of a copy of the history; returns what the data gate says of it."""
    known = pd.read_parquet(snapshot.file)
    copy = snapshot.file.with_name("stale.parquet")
    write_whole(known[known["label_known_at"] < snapshot.now - pd.Timedelta(days=3)], copy)
    try:
        data.validate(replace(snapshot, file=copy))
    except DataError as error:
        return str(error).replace(str(copy.parent), "…")
    raise AssertionError("the data gate let labels pass that stopped three days ago")
