"""Nothing of a flight's features was unknown one hour before its scheduled departure.

The proof: cut the raw tables at that instant, as `known_at` does, and build them again. The same features
come out. A rebuilt part of the year is compared with the whole year, so the part is proven to be large enough too.
"""

from collections.abc import Callable
from dataclasses import replace

import pandas as pd
import pytest

import shared.data.flights
from shared.data.delay_features import recent_delays
from shared.data.flights import LEAD, build_flights
from shared.data.raw import Raw
from shared.data.schema import KNOWN_BEFORE, RECENT_DELAYS, WEATHER
from shared.settings import NEW_YORK

Build = Callable[[Raw], pd.DataFrame]
DAYS = pd.Timedelta(days=4)  # more than the longest delay (21 hours) and the longest window in hours (24) together


def known_at(raw: Raw, instant: pd.Timestamp) -> Raw:
    """The tables as they were at `instant`: all schedules, and the events before it.

    A weather observation is known when its hour is over, a departure when the aircraft has left, an arrival when it
    has landed.
    """
    flights, late = raw.flights.copy(), pd.to_timedelta(raw.flights["dep_delay"], unit="min")
    landed = flights["scheduled_arrival"] + pd.to_timedelta(flights["arr_delay"], unit="min")
    flights.loc[~(flights["scheduled_departure"] + late <= instant), ["dep_time", "dep_delay"]] = None
    flights.loc[~(landed <= instant), ["arr_time", "arr_delay", "air_time"]] = None
    over = raw.weather["time_hour"] + pd.Timedelta(hours=1) <= instant
    return replace(raw, flights=flights, weather=raw.weather[over])


def around(raw: Raw, flight: str, instant: pd.Timestamp) -> Raw:
    """The raw flights that are scheduled within days of `instant`, and all with the carrier and number of `flight`."""
    near = (raw.flights["scheduled_departure"] - instant).abs() < DAYS
    same = (raw.flights["carrier"] == flight[11:13]) & (raw.flights["flight"] == int(flight[13:-4]))
    return replace(raw, flights=raw.flights[near | same])


def features_of(flight: str, build: Build, raw: Raw) -> pd.Series:
    row = build(raw).set_index("flight_id")[list(KNOWN_BEFORE)].loc[flight]
    assert isinstance(row, pd.Series), "one row, for one flight"
    return row


def sample(flights: pd.DataFrame, count: int) -> pd.DataFrame:
    return flights.sample(count, random_state=2013)


@pytest.fixture(scope="module")
def sampled(flights: pd.DataFrame) -> pd.DataFrame:
    """Forty flights: by day, at night, and on the two days on which the clocks change."""
    asked = flights["predicted_at"].dt.tz_convert(NEW_YORK)
    day = asked.dt.month * 100 + asked.dt.day
    return pd.concat(
        [
            sample(flights[asked.dt.hour.between(8, 20)], 16),
            sample(flights[asked.dt.hour < 5], 8),
            sample(flights[day == 310], 8),
            sample(flights[day == 1103], 8),
        ]
    )


def test_the_raw_tables_cut_an_hour_before_departure_give_the_same_features(
    sampled: pd.DataFrame, flights: pd.DataFrame, raw: Raw
) -> None:
    whole_year = flights.set_index("flight_id")
    for flight, instant in zip(sampled["flight_id"], sampled["predicted_at"], strict=True):
        cut = known_at(around(raw, flight, instant), instant)
        rebuilt = features_of(flight, build_flights, cut)
        pd.testing.assert_series_equal(rebuilt, whole_year.loc[flight, list(KNOWN_BEFORE)], obj=flight)


def leaking_weather(raw: Raw) -> pd.DataFrame:
    """Weather of the hour in which the prediction is asked for, which is not over."""
    early = raw.weather.assign(time_hour=raw.weather["time_hour"] - pd.Timedelta(hours=1))
    return build_flights(replace(raw, weather=early))


def leaking_departures(raw: Raw) -> pd.DataFrame:
    """Delays up to the scheduled departure, an hour too late."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            shared.data.flights, "recent_delays", lambda board, asked_at: recent_delays(board, asked_at + LEAD)
        )
        return build_flights(raw)


def leaking_arrival(raw: Raw) -> pd.DataFrame:
    """The flight's own delay at arrival, passed off as a delay of its destination and of its number."""
    table = build_flights(raw)
    own = table["arrival_delay"]
    return table.assign(dest_delay_12h=own, flight_delay_last_10=own.clip(-30, 90))


@pytest.mark.parametrize(
    ("leaking", "columns"),
    [
        (leaking_weather, WEATHER),
        (leaking_departures, RECENT_DELAYS),
        (leaking_arrival, ["dest_delay_12h", "flight_delay_last_10"]),
    ],
)
def test_a_feature_that_knows_the_future_would_be_caught(
    leaking: Build, columns: list[str], sampled: pd.DataFrame, raw: Raw
) -> None:
    caught = set()
    for flight, instant in zip(sampled["flight_id"][:5], sampled["predicted_at"], strict=False):
        part = around(raw, flight, instant)
        with_future, without = (features_of(flight, leaking, tables) for tables in (part, known_at(part, instant)))
        caught |= {name for name in KNOWN_BEFORE if not with_future[[name]].equals(without[[name]])}
    assert caught
    assert caught <= set(columns)
