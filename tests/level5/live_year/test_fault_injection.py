"""Faults change what they name, the service accepts them, and a day and its parts get equal results."""

import json
from typing import get_args

import pandas as pd
import pytest

from level2_devops.service.requests import Flight
from level4_deployment import replay_client
from level5_monitoring.live_year.fault_injection import FAULTS, inject_fault, inject_label_fault
from level5_monitoring.monitors.distances import COLUMNS
from level5_monitoring.monitors.monitor_result import Monitor
from shared.data.replay import LABEL_COLUMNS, REQUEST_COLUMNS
from shared.data.schema import ORIGINS
from shared.errors import UserError

ALL = [(fault, size) for fault in FAULTS for size in (1, 2, 3)]


@pytest.fixture(scope="module")
def days(flights: pd.DataFrame) -> pd.DataFrame:
    """Three winter and three summer days, the coldest and the hottest of the year among them."""
    return flights[
        flights["flight_id"].str[:10].isin(pd.date_range("2013-01-22", periods=3).strftime("%Y-%m-%d"))
        | flights["flight_id"].str[:10].isin(pd.date_range("2013-07-17", periods=3).strftime("%Y-%m-%d"))
    ]


@pytest.mark.parametrize("fault", FAULTS)
def test_the_targets_of_a_fault_are_monitors_or_their_targets(fault: str) -> None:
    """An alert leads to a fault by these names: a renamed monitor must be renamed here too."""
    targets = {*COLUMNS, *ORIGINS, "scheduled_departure", "labels", "late"}
    others = {"scheduled_arrival", "weekday"}  # features that the compared methods watch
    assert set(FAULTS[fault].targets) <= {*get_args(Monitor), *targets, *others}
    assert set(FAULTS[fault].targets) & {*get_args(Monitor), *targets}


@pytest.mark.parametrize(("fault", "size"), ALL)
def test_the_service_accepts_every_flight_with_a_fault(fault: str, size: int, days: pd.DataFrame) -> None:
    for body in replay_client.as_requests(inject_fault(days[REQUEST_COLUMNS], fault, size, seed=1).iloc[::60]):
        body.pop("flight_id")
        Flight.model_validate_json(json.dumps(body))


@pytest.mark.parametrize(("fault", "size"), ALL)
def test_a_day_at_once_and_part_by_part_get_equal_results(fault: str, size: int, days: pd.DataFrame) -> None:
    days = days[days["flight_id"].str.startswith("2013-07-17")]
    hours = [hour for _, hour in days.groupby(days["predicted_at"].dt.floor("6h"))]
    for change, columns in ((inject_fault, REQUEST_COLUMNS), (inject_label_fault, LABEL_COLUMNS)):
        table = days.dropna(subset=["late"])[columns]
        parts = [change(hour.dropna(subset=["late"])[columns], fault, size, seed=2) for hour in hours]
        pd.testing.assert_frame_equal(pd.concat(parts).sort_index(), change(table, fault, size, seed=2).sort_index())


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bigger_size_changes_more_rows_and_only_columns_of_the_fault(fault: str, days: pd.DataFrame) -> None:
    table, met = days.dropna(subset=["late"]), []
    ids = ["flight_id"] if fault == "new codes" else []
    before = table.copy()
    for size in (1, 2, 3):
        after = inject_label_fault(inject_fault(table, fault, size, seed=4), fault, size, seed=4)
        same = after.eq(table.loc[after.index]) | (after.isna() & table.loc[after.index].isna())
        met.append(len(table) - same.all(axis=1).sum())
        assert set(same.columns[~same.all()]) <= {*FAULTS[fault].targets, "label_known_at", "late", *ids}
    assert 0 < met[0] < met[1] < met[2]
    pd.testing.assert_frame_equal(table, before)


def test_one_airport_is_one_airport(days: pd.DataFrame) -> None:
    changed = inject_fault(days, "celsius", 2, seed=5)
    assert days.loc[changed["temp"] != days["temp"], "origin"].unique().tolist() == [ORIGINS[5 % 3]]


def test_a_temperature_in_celsius_is_one(days: pd.DataFrame) -> None:
    changed = inject_fault(days, "celsius", 3)
    assert (changed["temp"] * 1.8 + 32).to_numpy() == pytest.approx(days["temp"].to_numpy(), nan_ok=True)


def test_a_share_is_a_share_of_every_day(days: pd.DataFrame) -> None:
    gone = ~days.index.isin(inject_fault(days, "lost flights", 1).index)
    assert pd.Series(gone).groupby(days["flight_id"].str[:10].to_numpy()).mean().between(0.15, 0.25).all()


def test_a_renamed_carrier_has_a_code_that_no_carrier_had(flights: pd.DataFrame) -> None:
    renamed = inject_fault(flights[REQUEST_COLUMNS], "new codes", 3)["carrier"]
    assert not set(renamed) & set(flights["carrier"])
    assert renamed.nunique() == flights["carrier"].nunique()


def test_local_times_sent_as_utc_are_four_or_five_hours_early(days: pd.DataFrame) -> None:
    early = days["scheduled_departure"] - inject_fault(days, "time zone", 3)["scheduled_departure"]
    assert set(early.dt.total_seconds() / 3600) == {4, 5}


def test_a_stuck_feed_repeats_one_value_per_airport(days: pd.DataFrame) -> None:
    stuck = inject_fault(days, "stuck", 3, seed=3)
    assert (stuck.groupby("origin")["carrier_delay_4h"].nunique() == 1).all()
    assert stuck["carrier_delay_4h"].nunique() > 1


@pytest.mark.parametrize(("fault", "late"), [("strike", 1), ("calm", 0)])
def test_a_strike_makes_flights_late_and_a_calm_makes_them_punctual(
    fault: str, late: float, days: pd.DataFrame
) -> None:
    told = days.dropna(subset=["late"])[LABEL_COLUMNS]
    struck = inject_label_fault(told, fault, 1, seed=0)
    changed = struck["late"] != told["late"]
    assert (struck.loc[changed, "late"] == late).all()
    assert set(told.loc[changed, "flight_id"].str[11:13]) == {"UA"}


@pytest.mark.parametrize(("fault", "size"), [("no such", 1), ("celsius", 0), ("celsius", 4)])
def test_an_unknown_fault_or_size_is_refused_with_those_that_exist(fault: str, size: int, days: pd.DataFrame) -> None:
    with pytest.raises(UserError, match="celsius, no weather"):
        inject_fault(days, fault, size)
