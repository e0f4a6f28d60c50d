"""Rows and objects that many tests need: whole and valid by default, each field open to change."""

import json
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    import sqlalchemy as sa

    from level4_deployment.experiment.experiment_store import Experiment
    from level5_monitoring.monitors.monitor_result import Monitor, MonitorResult, State

_NUMBERS = count()


def prediction(flight_id: str = "2013-04-01-B61-JFK", **changes: Any) -> dict[str, Any]:
    """A row of the prediction log's table `predictions`: answered by champion 1, outside any experiment."""
    row = {
        "request_id": f"request-{flight_id}",
        "flight_id": flight_id,
        "departs_at": 0.0,
        "asked_at": 0.0,
        "request_payload": "{}",
        "experiment": None,
        "arm": "champion",
        "propensity": 1.0,
        "version": 1,
        "probability": 0.25,
        "fallback": "",
        "seconds": 0.001,
    }
    assert changes.keys() <= row.keys(), changes.keys() - row.keys()
    return row | changes


def label(flight_id: str = "2013-04-01-B61-JFK", *, late: int = 0, known_at: float = 0.0) -> dict[str, Any]:
    """A row of the table `labels`, received as soon as it was known."""
    return {"flight_id": flight_id, "late": late, "known_at": known_at, "received_at": known_at}


def insert(log: "sa.Engine", table: "sa.Table", rows: Any) -> None:
    """Write a row, or a list of rows, into a table of the log."""
    with log.begin() as connection:
        connection.execute(table.insert(), rows)


def closed_days(differences: ArrayLike, **columns: Any) -> pd.DataFrame:
    """Closed days of an experiment from 1 April on, 900 flights each, with these mean loss differences (nats)."""
    values = np.asarray(differences, dtype=float)
    names = [str(day.date()) for day in pd.date_range("2013-04-01", periods=len(values))]
    arms = {"champion_arm": 0, "challenger_arm": 0}  # as in shadow
    return pd.DataFrame({"day": names, "flights": 900, "mean_loss_difference": values}).assign(**arms | columns)


def day_differences(mean: float, days: int = 28, seed: int = 0, sd: float = 0.01) -> NDArray[np.float64]:
    """Mean loss differences of days, whose mean and SD are exactly these: what must follow from them is known."""
    values = np.random.default_rng(seed).standard_normal(days)
    return mean + sd * (values - values.mean()) / values.std(ddof=1)


def batch(experiment: str, **changes: Any) -> dict[str, Any]:
    """A row of the table `inference_batches`: 20 flights that challenger 2 has scored in time."""
    row = {"version": 2, "experiment": experiment, "rows": 20, "failed": 0, "seconds": 0.001, "slow": 0, "fell_back": 0}
    assert changes.keys() <= row.keys(), changes.keys() - row.keys()
    return row | changes


def experiment(**changes: Any) -> "Experiment":
    """Challenger 2 against champion 1, in shadow, by the standard plan."""
    from level4_deployment.experiment.design import Plan  # a release's gate, which knows no level 4, reads this file
    from level4_deployment.experiment.experiment_store import Experiment

    name = "2-against-1-no1"
    return replace(Experiment(name, 1, 2, 0.0, Plan(), None, "running", "in shadow", "test"), **changes)


def experiment_day(experiment: str, day: str, gain: float | None = None, flights: int = 900) -> dict[str, Any]:
    """A row of the table `experiment_days`: a closed day in shadow with this mean loss difference (nats)."""
    figures = {"flights": flights, "mean_loss_difference": gain, "champion_arm": 0, "challenger_arm": 0}
    return {"experiment": experiment, "day": day, **figures}


def both_predictions(
    running: "Experiment", flight_id: str, arm: str, at: float, chances: dict[int, float]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A row of `predictions` by the arm's model (1 is the champion, 2 the challenger), and the other's in shadow."""
    from level4_deployment.experiment.assignment import propensity

    own = 2 if arm == "challenger" else 1
    shadow = {"request_id": flight_id, "version": 3 - own, "probability": chances[3 - own]}
    about = {"experiment": running.experiment, "arm": arm, "propensity": propensity(running.share, arm)}
    answer = {"version": own, "probability": chances[own], "departs_at": at, "asked_at": at}
    return prediction(flight_id, request_id=flight_id, **about, **answer), shadow


def predictions_of(flights: pd.DataFrame, **changes: Any) -> list[dict[str, Any]]:
    """Rows of `predictions` for flights of the year's table, each with its real request."""
    from level4_deployment.replay_client import as_requests

    return [
        prediction(
            sent["flight_id"],
            request_id=f"{next(_NUMBERS):032x}",  # as the service does: later ids are greater
            departs_at=pd.Timestamp(sent["scheduled_departure"]).timestamp(),
            request_payload=json.dumps(sent),
            **changes,
        )
        for sent in as_requests(flights)
    ]


def monitor_result(monitor: "Monitor" = "contract", state: "State" = "alarm", **changes: Any) -> "MonitorResult":
    """A result with figures: of column temp, or of champion 3 for monitors of its performance."""
    from level5_monitoring.monitors.monitor_result import CHAMPION, MonitorResult

    champion = monitor in ("calibration", "calibration_slope", "skill", "regression_vs_previous", "severe_regression")
    about: dict[str, Any] = {"target": CHAMPION, "version": 3} if champion else {"target": "temp"}
    figures: dict[str, Any] = {"day": "2013-05-06", "message": "it is off", "rows": 900, "value": 0.5, "threshold": 0.1}
    return MonitorResult(monitor=monitor, state=state, **figures | about | changes)
