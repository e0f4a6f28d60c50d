"""From one answer back to its version, run, commit and data; and which features moved it."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa
from numpy.typing import NDArray

from level2_devops.features import features
from level2_devops.service.requests import Flight, as_table
from level4_deployment.prediction_log import LABELS, PREDICTIONS, QUARANTINED_LABELS, open_log, url_of
from shared.console import show_table
from shared.errors import UserError, show_address
from shared.settings import Settings

ORDERS, SEED = 1_000, 2013  # of the features, each with a background flight of its own
DIGEST = re.compile(r"\b([0-9a-f]{8})[0-9a-f]{56}\b")


@dataclass(frozen=True)
class Explanation:
    """An answer and its lineage. contributions: of each feature, in probability; with `average` they sum to it.

    error: the largest standard error of a contribution, from the sample of orders and background flights.
    """

    answer: dict[str, Any]
    lineage: dict[str, str]
    average: float
    contributions: pd.Series
    error: float


def explain(settings: Settings, home: Path, request: str) -> Explanation:
    """Look up the request, its version, and the contributions of its features; raises UserError.

    home: the platform's folder.
    """
    from level3_training_pipeline.pipeline import data
    from level3_training_pipeline.tracking import mlflow_runs, registry
    from level4_deployment.control.registry_client import package_of, pull
    from level4_deployment.serving.model import load_served
    from level4_deployment.serving.package import inputs_of

    url = url_of(home)
    if url.startswith("sqlite") and not (home / "log.db").exists():
        raise UserError(f"no flight was predicted yet: {home} has no log. Remedy: make level4, or make platform.")
    answer = look_up(url, request)
    client = mlflow_runs.open_tracking(settings)
    version = registry.get(client, str(answer["version"]))
    served = load_served(home, pull(version, home))
    trained_on = data.gather_again(settings, version.tags)
    history = data.read(trained_on.file)
    sent = json.loads(answer["request_payload"])
    sent.pop("flight_id", None)
    row = features(as_table([Flight(**sent)]))
    background = features(history.sample(ORDERS, random_state=SEED))
    average, parts, error = shapley(lambda table: served.score(*inputs_of(table)), row, background)
    known = version.tags.get("data_digest")
    lineage = {
        "version": str(version.number),
        "package": package_of(version).digest,
        "model": version.tags["model_sha256"],
        "MLflow run": version.run_id,
        "cause": version.tags.get("cause", "not on record"),
        "parameters": json.dumps(client.get_run(version.run_id).data.params),
        "commit": version.tags["commit"],
        "data digest": known or "not on record: it was not trained by the pipeline",
        "trained on": f"{len(history):,} flights known on {version.tags['today']}, rows in {trained_on.file.name}"
        + ("" if known in (None, trained_on.digest) else " (ANOTHER digest than on record)"),
    }
    return Explanation(answer, lineage, average, parts, error)


def look_up(url: str, request: str) -> dict[str, Any]:
    """The answer on the log, with its label if it is known, and whether labels contradict it; raises UserError."""
    contradicted = sa.exists().where(QUARANTINED_LABELS.c.flight_id == PREDICTIONS.c.flight_id)
    query = (
        sa.select(PREDICTIONS, LABELS.c.late, contradicted.label("contradicted"))
        .outerjoin(LABELS, LABELS.c.flight_id == PREDICTIONS.c.flight_id)
        .where(PREDICTIONS.c.request_id == request)
    )
    with open_log(url) as log, log.connect() as connection:
        found = connection.execute(query).mappings().first()
    if found is None:
        where = show_address(url)
        raise UserError(f"REQUEST={request}: no such answer in {where}. Remedy: the request_id of an answer.")
    return dict(found)


def shapley(
    score: Callable[[pd.DataFrame], NDArray[np.float64]], row: pd.DataFrame, background: pd.DataFrame
) -> tuple[float, pd.Series, float]:
    """Shapley values by sampling (Štrumbelj and Kononenko 2014): the average score, and each feature's contribution.

    In each of ORDERS random orders, the row's values replace those of a background flight one by one; a feature's
    contribution is the mean change of the score at its replacement. Average and contributions sum to the row's score.
    The third value is the largest standard error of a contribution.
    """
    names = list(row.columns)
    turns = np.random.default_rng(SEED).permuted(np.tile(np.arange(len(names)), (ORDERS, 1)), axis=1)  # of each feature
    replaced = np.arange(len(names) + 1)
    steps = background.iloc[np.repeat(np.arange(ORDERS) % len(background), len(replaced))].reset_index(drop=True)
    for which, name in enumerate(names):
        steps[name] = steps[name].mask((turns[:, [which]] < replaced).ravel(), row[name].iloc[0])
    scores = score(steps).reshape(ORDERS, len(replaced))
    moved = np.take_along_axis(np.diff(scores, axis=1), turns, axis=1)
    error = float(moved.std(axis=0, ddof=1).max() / np.sqrt(ORDERS))
    return float(scores[:, 0].mean()), pd.Series(moved.mean(axis=0), index=names), error


def show(explained: Explanation) -> None:
    """Print the lineage, and the features that moved the answer most."""
    answer = explained.answer
    label = {None: "not known yet", 0: "on time", 1: "late"}[answer["late"]]
    facts = {
        "flight": answer["flight_id"],
        "answered": f"probability {answer['probability']:.4f} by version {answer['version']}, arm {answer['arm']} "
        f"(propensity {answer['propensity']:g}) of {answer['experiment'] or 'no experiment'}",
        "fallback": answer["fallback"] or "no",
        "took": f"{answer['seconds'] * 1000:.1f} ms",
        "label": f"{label}, and contradicted by another: neither is used" if answer["contradicted"] else label,
    }
    rows = [[name, DIGEST.sub(r"\1…", value)] for name, value in {**facts, **explained.lineage}.items()]
    show_table(f"Request {answer['request_id']}", ["", ""], rows)
    largest = explained.contributions.reindex(explained.contributions.abs().sort_values(ascending=False).index)[:8]
    rest = explained.contributions.sum() - largest.sum()
    moved = [[str(name), f"{part:+.2f}"] for name, part in largest.items()] + [["all others", f"{rest:+.2f}"]]
    title = (
        f"From the average of {explained.average:.2f} to this answer: {ORDERS:,} orders and flights, standard error at "
        f"most {explained.error:.3f}"
    )
    show_table(title, ["feature", "probability"], moved)
