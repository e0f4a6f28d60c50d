"""Faults of a day, a month or a year that no single row shows are found at load; part of a sound year is accepted."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from shared.data.raw import read_raw
from shared.data.schema import ORIGINS, WEATHER
from tests.shared.data.tables import Change, To, refusal, write

ALL = range(1, 13)
KMH = 1.609344


def in_months(months: range | list[int], to: To) -> To:
    """A fault in the rows of these months alone."""

    def part(table: pd.DataFrame) -> pd.DataFrame:
        return pd.concat([table[~table["month"].isin(months)], to(table[table["month"].isin(months)])]).sort_index()

    return part


def usual_winds(table: pd.DataFrame) -> pd.DataFrame:
    """Without the one impossible wind of the published year, which is known by its place: moved, it would be found."""
    return table.assign(wind_speed=table["wind_speed"].mask(table["wind_speed"] > 1000)) if "temp" in table else table


def ahead(hours: int, origins: list[str]) -> To:
    """Weather of so many rows later, at these airports."""

    def to(weather: pd.DataFrame) -> pd.DataFrame:
        later = weather.groupby("origin")[[*WEATHER]].shift(-hours)
        return weather.assign(
            **{name: later[name].where(weather["origin"].isin(origins), weather[name]) for name in WEATHER}
        )

    return to


def swapped(one: str, other: str) -> To:
    return lambda weather: weather.assign(origin=weather["origin"].replace({one: other, other: one}))


def frozen(columns: Iterable[str], origin: str, rows: int) -> To:
    """A feed that repeats its first value of the month."""

    def to(weather: pd.DataFrame) -> pd.DataFrame:
        stuck = weather.index[weather["origin"] == origin][:rows]
        return weather.assign(
            **{name: weather[name].mask(weather.index.isin(stuck), weather[name][stuck[0]]) for name in columns}
        )

    return to


def scaled(factor: float) -> To:
    return lambda weather: weather.assign(**{name: weather[name] * factor for name in ("wind_speed", "wind_gust")})


def a_day_later(*columns: str, origin: str | None = None) -> To:
    def to(flights: pd.DataFrame) -> pd.DataFrame:
        rows = flights["origin"] == origin if origin else flights["dep_delay"] < HALF_A_DAY_LEFT
        return flights.assign(**{name: flights[name].mask(rows, flights[name] + 1440) for name in columns})

    return to


HALF_A_DAY_LEFT = 1400  # minutes: with a day more, the contract's range still holds them


def without(table: pd.DataFrame) -> pd.DataFrame:
    return table.iloc[:0]


def half(table: pd.DataFrame) -> pd.DataFrame:
    return table.sample(frac=0.5, random_state=1).sort_index()


def half_of(origin: str) -> To:
    return lambda table: pd.concat(
        [table[table["origin"] != origin], half(table[table["origin"] == origin])]
    ).sort_index()


FAULTS: dict[str, tuple[str, To, str]] = {  # table, fault, what the message says
    "weather three hours ahead": ("weather", ahead(3, ORIGINS), r"temp: the warmest hour .* too early"),
    "three hours behind": ("weather", ahead(-3, ORIGINS), r"temp: the warmest hour .* too late"),
    "ahead in May": ("weather", in_months([5], ahead(3, ORIGINS)), r"temp: .* in 2013-05 is .* too early"),
    **{
        f"{origin} ahead in {month}": ("weather", in_months([month], ahead(3, [origin])), rf"temp: .* at {origin} in ")
        for origin, month in [("EWR", 1), ("JFK", 3), ("LGA", 12)]
    },
    **{
        f"{one} and {other} swapped in {months}": (
            "weather",
            in_months(months, swapped(one, other)),
            r"(pressure|dewp): lower at .*swapped",
        )
        for one, other in [("EWR", "JFK"), ("EWR", "LGA"), ("JFK", "LGA")]
        for months in (ALL, [3], [7])
    },
    "arrivals a day later": ("flights", a_day_later("arr_delay"), r"arr_delay: [\d,]+ of [\d,]+ values leave"),
    "a few arrivals": ("flights", in_months([8], a_day_later("arr_delay", origin="LGA")), r"arr_delay: .* = 1\d{3}"),
    "both delays a day later": (
        "flights",
        in_months([8], a_day_later("dep_delay", "arr_delay")),
        r"dep_delay: .* of 2013-08 left more than 12 hours late",
    ),
    "no May": ("flights", in_months([5], without), r"day: no flight on 31 days .*first: 2013-05-01"),
    "no weather in May": ("weather", in_months([5], without), r"time_hour: no weather of EWR from 2013-0[45]"),
    "half of all flights": ("flights", half, r"flight: [\d,]+ of [\d,]+ flights from EWR are not there"),
    "half of May": ("flights", in_months([5], half), r"origin: \d+ flights of EWR in the 7 days to 2013-05"),
    "half of JFK's October": ("flights", in_months([10], half_of("JFK")), r"flight: .* from JFK .* 2013-10"),
    "wind in km/h": ("weather", scaled(KMH), r"wind_speed: [\d,]+ of [\d,]+ values are no whole knots"),
    "in km/h in May": ("weather", in_months([5], scaled(KMH)), r"wind_gust: .* are no whole knots"),
    "in knots": ("weather", scaled(1 / 1.15078), r"wind_speed: [\d,]+ of [\d,]+ values are no whole knots"),
    "frozen weather": ("weather", in_months([5], frozen(WEATHER, "LGA", 30)), r"temp: the same value in 3\d"),
    "frozen pressure": ("weather", in_months([9], frozen(["pressure"], "JFK", 30)), r"pressure: the same value"),
    "no rain for a season": (
        "weather",
        in_months([6, 7], lambda weather: weather.assign(precip=0.0)),
        r"precip: the same value in 1,\d+ rows.* at most 672 are normal",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_that_no_row_shows_is_named(fault: str, change: Change) -> None:
    table, to, says = FAULTS[fault]
    message = refusal(change(table, lambda sound: to(usual_winds(sound))), f"{table}.csv")
    assert re.search(says, message), message


@pytest.mark.parametrize(
    ("begin", "end"), [("01-01", "06-30"), ("03-10", "03-30"), ("11-15", "12-05"), ("12-20", "12-31")]
)
def test_part_of_the_year_is_accepted(begin: str, end: str, folder: Path, sample: dict[str, pd.DataFrame]) -> None:
    """Also a short one: weeks and months that are too short to compare say nothing."""
    for name, file in (("flights", "flights.csv.zip"), ("weather", "weather.csv")):
        day = pd.to_datetime(sample[name][["year", "month", "day"]])
        write(sample[name][day.between(f"2013-{begin}", f"2013-{end}")], folder / file)
    assert len(read_raw(folder).flights) > 10


def test_the_flights_of_one_airport_are_accepted(change: Change) -> None:
    folder = change("flights", lambda flights: flights[flights["origin"] == "JFK"])
    assert set(read_raw(folder).flights["origin"]) == {"JFK"}


@pytest.mark.parametrize(
    ("write_instant", "first"),
    [
        (lambda at: at.dt.tz_convert("America/New_York").astype(str), "2013-01-01 0[15]:00:00-05:00"),
        (lambda at: at.dt.tz_localize(None).astype(str), "2013-01-01 (06|10):00:00"),
        (lambda at: at.dt.strftime("%d.%m.%Y %H:%M"), r"01\.01\.2013 (06|10):00"),
    ],
    ids=["offset", "no zone", "other format"],
)
@pytest.mark.parametrize("table", ["flights", "weather"])
def test_an_instant_that_is_not_in_utc_is_named(
    table: str, write_instant: Callable[[pd.Series], pd.Series], first: str, change: Change
) -> None:
    def to(sound: pd.DataFrame) -> pd.DataFrame:
        return sound.assign(time_hour=write_instant(pd.to_datetime(sound["time_hour"])))

    message = refusal(change(table, to), "write them in UTC, such as 2013-07-01T15:00:00Z", f"{table}.csv")
    assert re.match(rf"time_hour: [\d,]+ of [\d,]+ values are no instants in UTC \(first: row 0 = {first}\)", message)


def test_utc_as_pandas_writes_it_is_accepted(change: Change) -> None:
    """With the one impossible wind of the published table, which is known by its instant."""
    folder = change("weather", lambda sound: sound.assign(time_hour=pd.to_datetime(sound["time_hour"])))
    assert len(read_raw(folder).weather) > 26_000


def test_the_code_na_is_a_carrier_and_an_airport(folder: Path, change: Change) -> None:
    """North American Airlines had NA; pandas reads it as a missing value."""

    def renamed(flights: pd.DataFrame) -> pd.DataFrame:
        return flights.assign(carrier=flights["carrier"].replace("UA", "NA"), tailnum="NA")

    change("airports", lambda airports: airports.assign(faa=airports["faa"].replace("LAX", "NAN")))
    change("flights", lambda flights: renamed(flights).assign(dest=flights["dest"].replace("LAX", "NAN")))
    flights = read_raw(folder).flights
    assert (flights["carrier"] == "NA").sum() > 1000
    assert (flights["dest"] == "NAN").sum() > 100
    assert np.isnan(flights["dep_delay"]).any(), "NA is a missing value where the column holds numbers"
