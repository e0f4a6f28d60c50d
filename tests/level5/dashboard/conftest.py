"""The log of the year that the page shows."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa

from level4_deployment.control import audit
from level5_monitoring.dashboard.data import Year, read_year
from level5_monitoring.live_year.year_record import InjectedFault, write_faults
from level5_monitoring.loop import loop_store
from level5_monitoring.loop.alerts import Alert
from level5_monitoring.loop.policy import Decision
from level5_monitoring.tables import open_log
from tests.factories import monitor_result
from tests.level5.three_weeks import CLOCK, DAYS, fill, try_version, write_calendar


@pytest.fixture
def log(tmp_path: Path) -> Iterator[sa.Engine]:
    """Three weeks in which temp drifts, the contract breaks on 10 April, and a retraining is decided on the 12th."""
    with open_log(f"sqlite:///{tmp_path / 'log.db'}") as log:
        fill(log)
        for day in DAYS[:18]:
            decide(log, day)
        yield log


@pytest.fixture
def full(log: sa.Engine, tmp_path: Path) -> Year:
    """A year with everything that a page may show."""
    write_calendar(tmp_path)
    write_faults(
        tmp_path, [InjectedFault("celsius", 3, "temperatures in °C", "everywhere", "2013-04-09", "2013-04-12")]
    )
    try_version(log, 3, "stopped", (CLOCK + 100 * 12.5, CLOCK + 100 * 14.5), champion=2)  # before a day was closed
    audit.record(log, audit.move("loop", audit.PROMOTE, 1, 2, "better"))
    return read_year(log, tmp_path, {"MLflow": "http://127.0.0.1:5000", "Prefect": "make ui"})


def decide(log: sa.Engine, day: str) -> None:
    broken = monitor_result(day=day, message="<b>half</b> of temp is missing", value=0.5)
    results = [broken if day == "2013-04-10" else monitor_result(day=day, state="ok", value=0.0)]
    if pd.Timestamp(day).weekday() == 6:
        results.append(monitor_result("drift", "ok", day=day, target="dewp", value=0.05))
        results.append(monitor_result("drift", day=day, target="temp", value=0.4))
    decision, alerts, result = Decision(day, "no_action", "all is well"), [], {}
    if day == "2013-04-10":
        decision = Decision(day, "stop_experiment", "broken", (broken,), "contract", (broken,))
        alerts = [Alert(f"{day}-a", day, "page", "contract alarm begins", broken.message, "alarm_begins", "contract")]
    elif day == "2013-04-12":
        decision, result = Decision(day, "retrain", "new labels", (), "growth"), {"version": 2}
    loop_store.record_decision(log, decision, results, alerts)
    loop_store.close_decision(log, day, result)
