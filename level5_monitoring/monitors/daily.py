"""All that is looked at on a night: data quality first, then labels, then, for a whole week, drift."""

import pandas as pd
import sqlalchemy as sa

from level5_monitoring.monitors.data_quality import check_contract
from level5_monitoring.monitors.drift import check_drift
from level5_monitoring.monitors.labels import check_labels
from level5_monitoring.monitors.monitor_result import MonitorResult
from level5_monitoring.monitors.reference import Reference
from level5_monitoring.monitors.window import read_window

SUNDAY, DAYS = 6, 7


def run_monitors(
    day: str, window: pd.DataFrame, week: pd.DataFrame | None, reference: Reference
) -> list[MonitorResult]:
    """What the monitors of data and labels say of a closed day, and of the week if one ends with it."""
    found = check_contract(window, reference, day) + check_labels(window, day)
    return found if week is None else found + check_drift(week, reference, day)


def is_end_of_week(day: str) -> bool:
    """Whether a week ends with this day."""
    return pd.Timestamp(day).weekday() == SUNDAY


def read_week(log: sa.Engine, sunday: str) -> pd.DataFrame:
    """The window of the week that ends with `sunday`."""
    return read_window(log, week_of(sunday)[0], sunday)


def week_of(sunday: str) -> list[str]:
    """The days of the week that ends with `sunday`, Monday first."""
    return [str(day.date()) for day in pd.date_range(end=sunday, periods=DAYS)]
