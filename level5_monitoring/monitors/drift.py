"""Drift of the inputs, column by column, a week at a time: information, and no reason to retrain by itself.

Evidently's distances (normed Wasserstein for numbers, Jensen-Shannon for codes) against limits that history gives: its
own 0.1 suits no column here. Drift over all columns at once is not looked at; it hides what happens to one of them.
"""

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from level5_monitoring.monitors.monitor_result import MonitorResult
from level5_monitoring.monitors.window import CODES, NUMBERS
from shared.settings import NEW_YORK

if TYPE_CHECKING:
    from level5_monitoring.monitors.reference import Reference

CLOCK = "minute_of_day"  # in New York: a schedule in another zone is seen by it
COLUMNS = [*NUMBERS, CLOCK, *CODES]
FEWEST = 900  # flights of a week: below that, a distance is chance
DAYS, ABOVE = 7, 1.25  # of a week, and by how much the largest distance of a week of history may be exceeded


def distances(current: pd.DataFrame, sample: pd.DataFrame) -> dict[str, float]:
    """How far each column of a window is from the sample's, as Evidently measures it; NaN where nothing is there."""
    now, then = _columns(current), _columns(sample)
    return {name: _distance(name, now[name].dropna(), then[name].dropna()) for name in COLUMNS}


def calibrate(sample: pd.DataFrame, history: pd.DataFrame) -> dict[str, float]:
    """The limit of each column: every whole week of the history, measured against the sample.

    Whole weeks, as neighbouring days share their weather: days drawn one by one would promise far too much calm.
    """
    days = sorted(history["day"].unique())
    weeks = [days[start : start + DAYS] for start in range(0, len(days) - DAYS + 1, DAYS)]
    found = pd.DataFrame([distances(history[history["day"].isin(week)], sample) for week in weeks])
    return {name: float(found[name].max() * ABOVE) for name in COLUMNS}


def check_drift(window: pd.DataFrame, reference: "Reference", day: str = "") -> list[MonitorResult]:
    """A finding for each column of the flights of the week that ends with `day`."""
    day, rows = day or (str(window["day"].max()) if len(window) else ""), len(window)
    if rows < FEWEST:
        message = f"{rows} flights in the week; {FEWEST} are needed"
        return [MonitorResult(day, "drift", name, "insufficient data", message, rows) for name in COLUMNS]
    found = []
    for name, distance in distances(window, reference.sample).items():
        threshold = reference.drift[name]
        if not np.isfinite(distance):
            found.append(
                MonitorResult(day, "drift", name, "insufficient data", f"{name} has no value in the week", rows)
            )
            continue
        message = f"{name} is {distance:.3f} away from the history; its weeks were within {threshold:.3f}"
        found.append(
            MonitorResult(
                day, "drift", name, "alarm" if distance > threshold else "ok", message, rows, distance, threshold
            )
        )
    return found


def _columns(window: pd.DataFrame) -> pd.DataFrame:
    local = window["scheduled_departure"].dt.tz_convert(NEW_YORK).dt
    found = window.assign(**{CLOCK: (local.hour * 60 + local.minute).astype(float)})[COLUMNS]
    return found.replace([np.inf, -np.inf], np.nan)


def _distance(name: str, now: pd.Series, then: pd.Series) -> float:
    if now.empty or then.empty:
        return float("nan")
    test, kind = _tests()[name in CODES]
    return float(test(then, now, kind, None).drift_score)


@cache
def _tests() -> list[tuple[Any, Any]]:
    """Evidently's own functions, for numbers and for codes; importing them takes seconds."""
    from evidently.legacy.calculations.stattests import jensenshannon_stat_test, wasserstein_stat_test
    from evidently.legacy.core import ColumnType

    return [(wasserstein_stat_test, ColumnType.Numerical), (jensenshannon_stat_test, ColumnType.Categorical)]
