"""Days of predictions and labels on the log of a control plane, as a stream of flights would leave them there."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from level4_deployment.control.control_plane import ControlPlane
from level4_deployment.experiment import assignment
from level4_deployment.experiment.experiment_store import Experiment
from level4_deployment.experiment.labels import ingest
from level4_deployment.prediction_log import LABELS, PREDICTIONS, SHADOW_PREDICTIONS
from tests.factories import label, prediction

FLIGHTS = 40  # a day
Split = Callable[[Experiment, str], str | None]


def as_assigned(running: Experiment, flight: str) -> str | None:
    return assignment.arm(running.salt, running.share, flight)


def by_another_salt(running: Experiment, flight: str) -> str | None:
    """As workers split whose routes were changed."""
    return assignment.arm("another", running.share, flight)


def stream(platform: ControlPlane, days: int, gain: float, split: Split = as_assigned, begin: int = 0) -> None:
    """Put whole days of predictions and labels on the log, the challenger better by `gain` nats, and judge each."""
    random = np.random.default_rng(5)
    noon = pd.Timestamp("2013-04-01 12:00", tz="America/New_York")
    for day in range(begin, begin + days + 1):
        running = platform.running()
        if running is None:
            return
        at = (noon + pd.DateOffset(days=day)).timestamp()
        flights = {name: arm for i in range(FLIGHTS) if (arm := split(running, name := f"{day}-{i}"))}
        rows, shadow = [], []
        for name, arm in flights.items():
            chance = {1: 0.5, 2: float(np.exp(np.log(0.5) + gain + random.normal(0, 0.02)))}
            own = 2 if arm == "challenger" else 1
            answer = {"experiment": running.experiment, "arm": arm, "version": own, "probability": chance[own]}
            answer |= {"propensity": assignment.propensity(running.share, arm), "departs_at": at, "asked_at": at}
            rows.append(prediction(name, request_id=name, **answer))
            shadow.append({"request_id": name, "version": 3 - own, "probability": chance[3 - own]})
        with platform.log.begin() as connection:
            connection.execute(PREDICTIONS.insert(), rows)
            connection.execute(SHADOW_PREDICTIONS.insert(), shadow)
            connection.execute(LABELS.insert(), [label(name, late=1, known_at=at + 60) for name in flights])
        ingest(platform.log, [], (noon.normalize() + pd.DateOffset(days=day + 2)).timestamp())
        platform.judge()
