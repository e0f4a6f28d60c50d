"""Rows and objects that many tests need: whole and valid by default, each field open to change."""

import json
from typing import Any
from uuid import uuid4

import pandas as pd

from level4_deployment.replay_client import as_requests
from level5_monitoring.monitors.monitor_result import CHAMPION, Monitor, MonitorResult, State


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


def predictions_of(flights: pd.DataFrame, **changes: Any) -> list[dict[str, Any]]:
    """Rows of `predictions` for flights of the year's table, each with its real request."""
    return [
        prediction(
            sent["flight_id"],
            request_id=uuid4().hex,
            departs_at=pd.Timestamp(sent["scheduled_departure"]).timestamp(),
            request_payload=json.dumps(sent),
            **changes,
        )
        for sent in as_requests(flights)
    ]


def monitor_result(monitor: Monitor = "contract", state: State = "alarm", **changes: Any) -> MonitorResult:
    """A result with figures: of column temp, or of champion 3 for monitors of its performance."""
    champion = monitor in ("performance", "regression_vs_previous", "severe_regression")
    about: dict[str, Any] = {"target": CHAMPION, "version": 3} if champion else {"target": "temp"}
    figures = {"day": "2013-05-06", "message": "it is off", "rows": 900, "value": 0.5, "threshold": 0.1}
    return MonitorResult(monitor=monitor, state=state, **(figures | about | changes))
