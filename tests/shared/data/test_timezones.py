"""Local times, time zones and the two days on which the clocks change."""

import pandas as pd
import pytest

from shared.data.raw import Raw
from shared.settings import NEW_YORK


def of(flights: pd.DataFrame, dest: str) -> pd.DataFrame:
    return flights[flights["dest"] == dest]


def hours_in_the_air(flights: pd.DataFrame) -> pd.Series:
    return (flights["scheduled_arrival"] - flights["scheduled_departure"]).dt.total_seconds() / 3600


def test_the_label_is_known_when_the_clock_at_the_destination_shows_the_arrival_time(raw: Raw) -> None:
    """For all 327,346 landed flights but one: it was to land before the clocks went forward, and landed after."""
    landed = raw.flights[raw.flights["arr_delay"].notna()]
    instant = landed["scheduled_arrival"] + pd.to_timedelta(landed["arr_delay"], unit="min")
    zone = landed["dest"].map(raw.airports.set_index("faa")["tzone"])
    local = [part.dt.tz_convert(name) for name, part in instant.groupby(zone)]
    shown = pd.concat([times.dt.hour * 100 + times.dt.minute for times in local])
    off = landed[shown[landed.index] != landed["arr_time"] % 2400]
    assert len(landed) > 300_000
    assert len(off) <= 1
    assert (off["sched_arr_time"] < 200).all()
    assert (off["arr_time"] >= 200).all()
    assert (off["month"] * 100 + off["day"]).isin([309, 310]).all()


def test_the_label_of_every_landed_flight_is_known_when_it_lands_and_of_no_other(flights: pd.DataFrame) -> None:
    landed = flights[flights["late"].notna()]
    delay = (landed["label_known_at"] - landed["scheduled_arrival"]).dt.total_seconds() / 60
    assert (delay == landed["arrival_delay"]).all()
    assert (landed["late"] == (landed["arrival_delay"] >= 15)).all()
    assert (landed["label_known_at"] > landed["predicted_at"]).all()
    assert flights.loc[flights["late"].isna(), ["label_known_at", "arrival_delay"]].isna().all(axis=None)


def test_the_scheduled_departure_is_the_time_on_new_yorks_clocks(raw: Raw) -> None:
    local = raw.flights["scheduled_departure"].dt.tz_convert(NEW_YORK)
    assert (local.dt.hour * 100 + local.dt.minute == raw.flights["sched_dep_time"] % 2400).all()
    assert (local.dt.month == raw.flights["month"]).all()
    assert (local.dt.day == raw.flights["day"]).all()


@pytest.mark.parametrize(
    ("dest", "low", "high"),
    [("PHX", 4.5, 7), ("HNL", 10.5, 12.5), ("SJU", 3.3, 5), ("STT", 3.5, 5), ("BOS", 0.9, 1.9), ("LAX", 5.3, 7.1)],
)
def test_a_flight_takes_as_long_on_every_day_of_the_year(
    dest: str, low: float, high: float, flights: pd.DataFrame
) -> None:
    """Phoenix, Honolulu and San Juan never change their clocks, New York does: an hour off would be seen."""
    hours = hours_in_the_air(of(flights, dest))
    assert hours.between(low, high).all(), hours.describe()


def test_a_prediction_is_asked_for_one_hour_before(flights: pd.DataFrame) -> None:
    lead = flights["scheduled_departure"] - flights["predicted_at"]
    assert (lead == pd.Timedelta(hours=1)).all()
    assert flights["predicted_at"].is_monotonic_increasing
