"""Faults are named on their first day; real days are no alarm, and few flights are no evidence."""

import numpy as np
import pandas as pd
import pytest

from level5_monitoring.live_year.fault_injection import FAULTS, inject_fault
from level5_monitoring.monitors.data_quality import check_contract
from level5_monitoring.monitors.reference import Reference
from level5_monitoring.monitors.window import as_window
from tests.support import alarms

DAY = "2013-05-07"


def test_real_days_violate_no_contract(days: dict[str, pd.DataFrame], reference: Reference) -> None:
    for day, window in days.items():
        results = check_contract(window, reference, day)
        assert not alarms(results), day
        assert {one.day for one in results} == {day}


@pytest.mark.parametrize("fault", [name for name, one in FAULTS.items() if one.apply_to_flights])
def test_a_fault_everywhere_is_named_on_its_first_day(
    fault: str, days: dict[str, pd.DataFrame], reference: Reference
) -> None:
    window = inject_fault(days[DAY], fault, 3)
    found = [one for one in check_contract(window, reference, DAY) if one.state == "alarm"]
    assert {one.target for one in found} & set(FAULTS[fault].targets)
    assert all(one.target in one.message and one.rows == len(window) for one in found if one.monitor == "contract")


def test_wind_in_other_units_at_one_airport_is_named_and_a_stormy_day_is_not(
    flights: pd.DataFrame, days: dict[str, pd.DataFrame], reference: Reference
) -> None:
    window = inject_fault(days[DAY], "km/h", 2)
    named = [one for one in check_contract(window, reference, DAY) if one.target == "wind_speed"]
    assert [(one.state, "other units?" in one.message) for one in named] == [("alarm", True)]
    stormy = as_window(flights[flights["flight_id"].str.startswith("2013-11-24")], 0.2)
    assert not stormy["wind_gust"].dropna().round(6).isin(reference.steps["wind_gust"]).all(), "gusts never seen before"
    assert not alarms(check_contract(stormy, reference, "2013-11-24"))


@pytest.mark.parametrize("rows", [0, 99])
def test_few_flights_are_insufficient_for_columns_and_an_alarm_of_their_airports(
    rows: int, days: dict[str, pd.DataFrame], reference: Reference
) -> None:
    results = check_contract(days[DAY].head(rows), reference, DAY)
    assert {one.state for one in results if one.monitor == "contract"} == {"insufficient data"}
    assert alarms(results) == {"EWR", "JFK", "LGA"}


@pytest.mark.parametrize("value", [np.nan, np.inf, 7.0])
def test_a_column_without_values_with_infinite_ones_or_with_one_only_is_named(
    value: float, days: dict[str, pd.DataFrame], reference: Reference
) -> None:
    assert "temp" in alarms(check_contract(days[DAY].assign(temp=value), reference, DAY))
