"""A week that drifts is named by its columns; missing values and few flights are no evidence."""

import numpy as np
import pandas as pd
import pytest

from level5_monitoring.monitors.distances import COLUMNS
from level5_monitoring.monitors.drift import check_drift
from level5_monitoring.monitors.monitor_result import MonitorResult
from level5_monitoring.monitors.reference import Reference
from level5_monitoring.monitors.window import as_window
from tests.support import alarms

SUNDAY = "2013-05-12"


def week(flights: pd.DataFrame, monday: str) -> pd.DataFrame:
    days = pd.date_range(monday, periods=7).strftime("%Y-%m-%d")
    return as_window(flights[flights["flight_id"].str[:10].isin(days)], 0.2)


def test_a_week_of_another_season_drifts_by_its_temperature(flights: pd.DataFrame, reference: Reference) -> None:
    results = check_drift(week(flights, "2013-07-08"), reference, "2013-07-14")
    assert [one.target for one in results] == COLUMNS
    assert "temp" in alarms(results)
    assert all(one.monitor == "drift" and one.day == "2013-07-14" for one in results)


def test_a_schedule_in_utc_drifts_by_its_minute_of_day(flights: pd.DataFrame, reference: Reference) -> None:
    window = week(flights, "2013-05-06")
    early = window.assign(scheduled_departure=window["scheduled_departure"] - pd.Timedelta(hours=4))
    assert alarms(check_drift(early, reference, SUNDAY)) - alarms(check_drift(window, reference, SUNDAY)) == {
        "minute_of_day"
    }


def test_a_column_that_is_all_missing_has_no_distance(flights: pd.DataFrame, reference: Reference) -> None:
    results = check_drift(week(flights, "2013-05-06").assign(temp=np.nan, dewp=np.inf), reference, SUNDAY)
    assert [one.target for one in results if one.state == "insufficient data"] == ["temp", "dewp"]


@pytest.mark.parametrize("rows", [0, 899])
def test_few_flights_are_insufficient(rows: int, flights: pd.DataFrame, reference: Reference) -> None:
    results: list[MonitorResult] = check_drift(week(flights, "2013-05-06").head(rows), reference, SUNDAY)
    assert {one.state for one in results} == {"insufficient data"}
