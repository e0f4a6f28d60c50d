"""Whether the service computes the features that a version has learned from, and its champion too."""

import hashlib
import json

import numpy as np
import pandas as pd
from mlflow import MlflowClient

from level2_devops.features import CATEGORIES, NUMBERS, features
from level2_devops.service.requests import EXAMPLE, Flight, as_table, flights_as_requests
from level3_training_pipeline.tracking import registry
from level4_deployment.control.registry_client import FEATURES
from level4_deployment.serving.requests import CODE, read_batch, tensors
from shared.errors import UserError

ROWS = 500  # real flights, which both codes get
PROBES = 60  # made flights, which show what a feature is


class FeatureError(UserError):
    """Features that the service computes otherwise than a version has learned them."""


def check(
    client: MlflowClient, version: registry.Version, champion: registry.Version | None, flights: pd.DataFrame
) -> None:
    """Raise FeatureError where the service, or the champion, has other features than this code; record them."""
    _check_service(flights.sample(ROWS, random_state=0))
    ours = digests()
    client.set_model_version_tag(registry.MODEL, str(version.number), FEATURES, json.dumps(ours))
    theirs = json.loads(champion.tags.get(FEATURES, "{}")) if champion else {}  # of an earlier version's, none
    if theirs and theirs != ours:
        changed = sorted(name for name in {*ours, *theirs} if ours.get(name) != theirs.get(name))
        raise FeatureError(
            f"version {version.number} and the champion, version {champion and champion.number}, have learned from "
            f"other features ({', '.join(changed)}), and a service computes one kind: they cannot be tried on the same "
            f"requests. Remedy: make score compares them on later flights; make promote VERSION={version.number} makes "
            "this one the champion without an experiment."
        )


def _check_service(flights: pd.DataFrame) -> None:
    """Raise FeatureError where the service makes other features of a request than training does of the same flight."""
    body = json.dumps({"flights": flights_as_requests(flights, with_id=True)}).encode()
    _, served = tensors([one.row for one in read_batch(body)])
    trained = features(flights)[NUMBERS].to_numpy("float32")
    if served.shape != trained.shape:
        seen = f"it makes {served.shape[1]} numbers of a flight, and training {trained.shape[1]}"
    elif (unlike := ~((served == trained) | (np.isnan(served) & np.isnan(trained)))).any():
        row, column = np.argwhere(unlike)[0]
        seen = f"{NUMBERS[column]} of {flights['flight_id'].iloc[row]} is {served[row, column]:g} there, and "
        seen += f"{trained[row, column]:g} in training"
    else:
        return
    raise FeatureError(
        f"the service computes other features than {CODE[0]}: {seen}. Remedy: change features_of in {CODE[1]} in the "
        "same way, then end the platform and start it again."
    )


def digests() -> dict[str, str]:
    """For each feature, in order, the beginning of the SHA-256 of its values for some made flights."""
    flights = as_table([Flight(**EXAMPLE)] * PROBES)
    steps = np.arange(PROBES)
    for i, name in enumerate(flights.columns.difference(CATEGORIES)):
        column = flights[name]
        flights[name] = (
            column.fillna(1.0) + i + steps if column.dtype == float else column + pd.to_timedelta(steps * 29, "h")
        )
    flights["scheduled_arrival"] += pd.to_timedelta(steps, "min")
    table = features(flights)
    return {str(name): hashlib.sha256(repr(table[name].tolist()).encode()).hexdigest()[:8] for name in table.columns}
