"""Faults are named by the monitors; real days and thin windows are left in peace."""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from level5_monitoring.fault_injection import FAULTS, inject_fault, inject_label_fault
from level5_monitoring.monitors.data_quality import check_contract
from level5_monitoring.monitors.drift import COLUMNS, check_drift, distances
from level5_monitoring.monitors.labels import check_labels
from level5_monitoring.monitors.monitor_result import MonitorResult
from level5_monitoring.monitors.reference import Reference, load_reference
from level5_monitoring.monitors.window import NUMBERS, as_window
from shared.settings import NEW_YORK


@pytest.fixture(scope="module")
def days(flights: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Two weeks of May and one day of autumn, with answers that know a little."""
    window = flights[flights["flight_id"].str[:10].between("2013-05-06", "2013-05-19")]
    late = window["late"].fillna(0)
    chance = 0.2 + 0.2 * late + np.random.default_rng(0).uniform(0, 0.3, len(window))
    return {str(day): rows for day, rows in as_window(window, chance).groupby("day")}


def alarms(found: list[MonitorResult]) -> set[str]:
    return {one.target for one in found if one.state == "alarm"}


def test_real_days_break_no_contract(days: dict[str, pd.DataFrame], reference: Reference) -> None:
    for day, window in days.items():
        found = check_contract(window, reference) + check_labels(window)
        assert not alarms(found), day
        assert {one.day for one in found} == {day}


@pytest.mark.parametrize("fault", [name for name, one in FAULTS.items() if one.apply_to_flights])
def test_a_fault_everywhere_is_named_on_its_first_day(
    fault: str, days: dict[str, pd.DataFrame], reference: Reference
) -> None:
    spoilt = inject_fault(days["2013-05-07"], fault, 3)
    found = [one for one in check_contract(spoilt, reference, "2013-05-07") if one.state == "alarm"]
    assert {one.target for one in found} & set(FAULTS[fault].targets)
    assert all(one.target in one.message and one.rows == len(spoilt) for one in found if one.monitor == "contract")


def test_wind_in_other_units_at_one_airport_is_named_and_a_stormy_day_is_not(
    flights: pd.DataFrame, days: dict[str, pd.DataFrame], reference: Reference
) -> None:
    spoilt = inject_fault(days["2013-05-07"], "km/h", 2)
    named = [one for one in check_contract(spoilt, reference, "2013-05-07") if one.target == "wind_speed"]
    assert [(one.state, "other units?" in one.message) for one in named] == [("alarm", True)]
    stormy = as_window(flights[flights["flight_id"].str.startswith("2013-11-24")], 0.2)
    assert not stormy["wind_gust"].dropna().round(6).isin(reference.steps["wind_gust"]).all(), "gusts never seen before"
    assert not alarms(check_contract(stormy, reference))


def test_labels_that_stop_or_are_turned_around_are_seen(days: dict[str, pd.DataFrame]) -> None:
    window = days["2013-05-07"]
    assert alarms(check_labels(window.assign(late=np.nan))) == {"labels"}
    of_newark = check_labels(window.assign(late=window["late"].mask(window["origin"] == "EWR")))
    assert alarms(of_newark) == {"labels"}
    assert "EWR" in of_newark[0].message
    turned = inject_label_fault(window.assign(label_known_at=None), "labels flipped", 3)
    assert alarms(check_labels(turned)) == {"late"}


@pytest.mark.parametrize("rows", [0, 1, 99])
def test_a_thin_window_says_so(rows: int, days: dict[str, pd.DataFrame], reference: Reference) -> None:
    window = days["2013-05-07"].head(rows)
    found = check_contract(window, reference, "2013-05-07") + check_labels(window, "2013-05-07")
    assert {one.state for one in found if one.monitor != "volume"} == {"insufficient data"}
    assert alarms(found) <= {"EWR", "JFK", "LGA"}, "that flights do not arrive is a fault, and named by its airport"
    assert {one.state for one in check_drift(window, reference)} == {"insufficient data"}


@pytest.mark.parametrize("value", [np.nan, np.inf, 7.0])
def test_a_column_without_values_with_infinite_ones_or_with_one_only_is_named(
    value: float, days: dict[str, pd.DataFrame], reference: Reference
) -> None:
    window = days["2013-05-07"].assign(temp=value)
    assert "temp" in alarms(check_contract(window, reference))


def test_drift_is_measured_as_evidently_measures_it(days: dict[str, pd.DataFrame], reference: Reference) -> None:
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import MissingValueCount, ValueDrift

    week = pd.concat(list(days.values())[:7])
    ours = distances(week, reference.sample)
    kinds = DataDefinition(numerical_columns=NUMBERS, categorical_columns=["carrier"])
    wanted = [ValueDrift(column=name, method="wasserstein") for name in ("temp", "carrier_delay_4h", "wind_gust")]
    wanted += [ValueDrift(column="carrier", method="jensenshannon"), MissingValueCount(column="pressure")]
    columns = [*NUMBERS, "carrier"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parts = [Dataset.from_pandas(table[columns], data_definition=kinds) for table in (week, reference.sample)]
        metrics = Report(wanted).run(*parts).dict()["metrics"]
    for one in metrics[:-1]:
        assert ours[one["config"]["column"]] == pytest.approx(one["value"])
    assert metrics[-1]["value"]["share"] == pytest.approx(week["pressure"].isna().mean())


def test_the_weeks_of_history_are_within_their_limits_the_farthest_by_a_quarter(
    known: pd.DataFrame, reference: Reference
) -> None:
    window = as_window(known, 0.2)
    days = sorted(window["day"].unique())
    weeks = [window[window["day"].isin(days[start : start + 7])] for start in range(0, len(days) - 6, 7)]
    found = [one for week in weeks for one in check_drift(week, reference)]
    assert not alarms(found)
    farthest = {name: max(one.value or 0 for one in found if one.target == name) for name in COLUMNS}
    assert reference.drift == pytest.approx({name: value * 1.25 for name, value in farthest.items()})


def test_a_column_that_is_all_missing_has_no_distance(flights: pd.DataFrame, reference: Reference) -> None:
    week = flights[flights["flight_id"].str[:10].between("2013-05-06", "2013-05-12")].assign(temp=np.nan)
    states = {one.target: one.state for one in check_drift(as_window(week, 0.2), reference)}
    assert states["temp"] == "insufficient data"
    assert "insufficient data" not in {state for name, state in states.items() if name != "temp"}


def test_a_week_of_another_season_drifts_by_its_temperature(flights: pd.DataFrame, reference: Reference) -> None:
    july = flights[flights["flight_id"].str[:10].between("2013-07-08", "2013-07-14")]
    found = check_drift(as_window(july, 0.2), reference)
    assert [one.target for one in found] == COLUMNS
    assert "temp" in alarms(found)
    assert all(one.monitor == "drift" and one.day == "2013-07-14" for one in found)


def test_a_reference_is_kept(reference: Reference, tmp_path: Path, days: dict[str, pd.DataFrame]) -> None:
    reference.save(tmp_path)
    window = days["2013-05-07"]
    assert [one.message for one in check_contract(window, load_reference(tmp_path))] == [
        one.message for one in check_contract(window, reference)
    ]


def test_a_day_is_new_yorks(days: dict[str, pd.DataFrame]) -> None:
    for day, window in days.items():
        assert set(window["scheduled_departure"].dt.tz_convert(NEW_YORK).dt.strftime("%Y-%m-%d")) == {day}
