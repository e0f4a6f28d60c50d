"""Days of answers and outcomes on the log of a control plane, as a stream of flights would leave them there."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from level4_deployment.control.control_plane import ControlPlane
from level4_deployment.control.registry_client import ModelRegistry
from level4_deployment.experiment import assignment
from level4_deployment.experiment.experiment_store import Experiment
from level4_deployment.experiment.labels import ingest
from level4_deployment.prediction_log import LABELS, PREDICTIONS, SHADOW_PREDICTIONS

MODEL = "flight-delays"
Split = Callable[[Experiment, str], str | None]


def alias(platform: ControlPlane, name: str) -> int | None:
    assert isinstance(platform.registry, ModelRegistry)
    found = platform.registry.client.get_registered_model(MODEL).aliases.get(name)
    return None if found is None else int(found)


def as_asked(running: Experiment, flight: str) -> str | None:
    """The arm of a flight."""
    return assignment.arm(running.salt, running.share, flight)


def by_another_salt(running: Experiment, flight: str) -> str | None:
    """As workers do whose routes were changed."""
    return assignment.arm("another", running.share, flight)


def with_losses(running: Experiment, flight: str) -> str | None:
    """Nine of ten that are the challenger's never arrive."""
    found = as_asked(running, flight)
    return found if found == "champion" or flight.endswith("0") else None


def stream(platform: ControlPlane, days: int, gain: float, split: Split = as_asked, begin: int = 0) -> None:
    """Put whole days of answers and outcomes on the log, the challenger better by `gain` nats, and judge each."""
    random = np.random.default_rng(5)
    running = platform.running()
    assert running
    noon = pd.Timestamp("2013-04-01 12:00", tz="America/New_York")
    for day in range(begin, begin + days + 1):
        running = platform.running()
        at = (noon + pd.DateOffset(days=day)).timestamp()
        if running is None:
            return
        rows, paired, labels = [], [], []
        for number in range(40):
            name = f"{day}-{number}"
            arm = split(running, name)
            if arm is None:
                continue
            propensity = assignment.propensity(running.share, arm)
            chance = {1: 0.5, 2: float(np.exp(np.log(0.5) + gain + random.normal(0, 0.02)))}
            own = 2 if arm == "challenger" else 1
            rows.append(
                {
                    "request_id": name,
                    "flight_id": name,
                    "departs_at": at,
                    "asked_at": at,
                    "request_payload": "{}",
                    "experiment": running.experiment,
                    "arm": arm,
                    "propensity": propensity,
                    "version": own,
                    "probability": chance[own],
                    "fallback": "",
                    "seconds": 0.001,
                }
            )
            paired.append({"request_id": name, "version": 3 - own, "probability": chance[3 - own]})
            labels.append({"flight_id": name, "late": 1, "known_at": at + 60, "received_at": at + 60})
        with platform.log.begin() as connection:
            connection.execute(PREDICTIONS.insert(), rows)
            connection.execute(SHADOW_PREDICTIONS.insert(), paired)
            connection.execute(LABELS.insert(), labels)
        closes = (noon.normalize() + pd.DateOffset(days=day + 2)).timestamp()
        ingest(platform.log, [], closes)
        platform.judge()
