"""Checks between rows and between tables: they detect faults of a whole month that no single row shows.

Each limit was chosen on the published year, on which every check is silent. Beside it stands the nearest value of that
year, and of how many. Part of a year is accepted: what is refused is a hole or a change inside the part.
"""

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd

from shared.data.schema import DataError
from shared.settings import NEW_YORK

GROUND = 360  # minutes from leaving to arriving that are not air_time: 5 to 235 on 327,346 flights
HALF_A_DAY, RARE, FEW = 720, 0.001, 10  # a month's flights that are later (minutes): 5 of 27,004 in the worst of 12
LONGEST_GAP = pd.Timedelta(hours=36)  # without weather: 30 hours at the end of the year, otherwise 6
USUAL_SHARE, WEEK, NEAR = 0.6, 7, 71  # of the median of the weeks around: 0.69, of 4,971 weeks of airports and carriers
MIN_WEEK = 50  # flights of a week, for its number to be compared
GONE = 0.15  # share of an airport's daily flights that a month lacks: 0.08, of 36 months of an airport
MIN_EXPECTED = 100  # flights, for that share to count
FROZEN = 24  # rows with one value: 15, on 26,115 rows
# These values last: no rain, clear air, no gust. The longest lasted 331 rows.
LASTING: dict[str, float] = {"precip": 0.0, "visib": 10.0, "wind_gust": np.nan}
FROZEN_LASTING = 672
MIN_HOURS = 500  # of a month, for its means to be compared
# The mean of `column` is higher at the first airport than at the second in each of the 12 months, by at least this.
HIGHER = [("pressure", "JFK", "LGA", 0.37), ("pressure", "JFK", "EWR", 0.12), ("dewp", "EWR", "LGA", 0.34)]
# The warmest hour of a month's mean day, in hours UTC (its first harmonic). Noon by the sun is at 16.9. JFK is coastal.
WARMEST = {"EWR": 19.2, "JFK": 18.5, "LGA": 19.7}
WARMEST_WITHIN = 1.75  # hours: 1.1, of 36 months of an airport

Sentences = Iterator[str]


def check_year(flights: pd.DataFrame, weather: pd.DataFrame) -> None:
    """Raise DataError with a line for each rule that the tables break; both as in `Raw`."""
    of_flights: list[Callable[[pd.DataFrame], Sentences]] = [_times_on_ground, _long_delays, _holes, _weeks, _series]
    ordered = weather.sort_values(["origin", "time_hour"])
    found = [f"{line} in flights.csv" for rule in of_flights for line in rule(flights)]
    found += [f"{line} in weather.csv" for line in _gaps(flights, ordered)]
    found += [f"{line} in weather.csv" for rule in (_frozen, _swapped, _shifted) for line in rule(ordered)]
    if found:
        remedy = "Remedy: correct or complete the file, or fetch it anew; none of it was used."
        raise DataError("\n".join([*found, remedy]))


def _times_on_ground(flights: pd.DataFrame) -> Sentences:
    """A delay that is wrong by a whole day fits its clock; it does not fit the time in the air."""
    planned = (flights["scheduled_arrival"] - flights["scheduled_departure"]).dt.total_seconds() / 60
    ground = planned + flights["arr_delay"] - flights["dep_delay"] - flights["air_time"]
    off = (ground < 0) | (ground > GROUND)
    if off.any():
        first = flights.index[off][0]
        yield (
            f"arr_delay: {off.sum():,} of {len(flights):,} values leave, beside dep_delay and air_time, a time on the "
            f"ground outside [0, {GROUND}] minutes (first: row {first} = {flights['arr_delay'][first]:g})"
        )


def _long_delays(flights: pd.DataFrame) -> Sentences:
    late = flights["dep_delay"] > HALF_A_DAY
    for month, rows in late.groupby(flights["month"]):
        if rows.sum() > max(FEW, RARE * len(rows)):
            first = rows.index[rows][0]
            yield (
                f"dep_delay: {rows.sum():,} of {len(rows):,} flights of 2013-{month:02} left more than 12 hours late "
                f"(first: row {first} = {flights['dep_delay'][first]:g})"
            )


def _days(flights: pd.DataFrame) -> pd.Series:
    """The local day of the scheduled departure."""
    days: pd.Series = flights["time_hour"].dt.tz_convert(NEW_YORK).dt.tz_localize(None).dt.normalize()
    return days


def _holes(flights: pd.DataFrame) -> Sentences:
    """0 of the 365 days have no flight."""
    days = _days(flights)
    without = pd.date_range(days.min(), days.max()).difference(pd.DatetimeIndex(days.unique()))
    if len(without):
        period = f"{days.min():%Y-%m-%d} to {days.max():%Y-%m-%d}"
        yield f"day: no flight on {len(without)} days of {period} (first: {without[0]:%Y-%m-%d})"


def _weeks(flights: pd.DataFrame) -> Sentences:
    """The flights of an airport and of a carrier in any seven days, beside those of the five weeks before and after."""
    days = _days(flights)
    for column in ("origin", "carrier"):
        counts = pd.crosstab(days, flights[column])
        counts = counts.reindex(pd.date_range(days.min(), days.max()), fill_value=0)
        weeks = counts.rolling(WEEK).sum().dropna()
        usual = weeks.rolling(NEAR, center=True, min_periods=1).median()
        few = (weeks < USUAL_SHARE * usual) & (usual >= MIN_WEEK)
        for name in few.columns[few.any()]:
            week = few.index[few[name]][0]
            yield (
                f"{column}: {weeks[name][week]:.0f} flights of {name} in the {WEEK} days to {week:%Y-%m-%d}, "
                f"{usual[name][week]:.0f} are usual around it"
            )


def _series(flights: pd.DataFrame) -> Sentences:
    """A flight that departs a week before and a week after is expected on the day: random rows are not a schedule."""
    days = _days(flights)
    day = (days - days.min()).dt.days.to_numpy()
    number = flights.groupby(["carrier", "flight", "origin"], sort=False).ngroup().to_numpy()  # 0, 1, … as they appear
    flown = np.zeros((number.max() + 1, day.max() + 1), dtype=bool)
    flown[number, day] = True
    expected = np.zeros_like(flown)
    expected[:, WEEK:-WEEK] = flown[:, : -2 * WEEK] & flown[:, 2 * WEEK :]
    month = pd.date_range(days.min(), days.max()).strftime("%Y-%m")
    for origin, rows in pd.Series(number).groupby(flights["origin"].to_numpy()):
        own = rows.unique()
        due = pd.Series(expected[own].sum(axis=0)).groupby(month).sum()
        gone = pd.Series((expected[own] & ~flown[own]).sum(axis=0)).groupby(month).sum()
        for one in due.index[(due >= MIN_EXPECTED) & (gone > GONE * due)][:1]:
            yield (
                f"flight: {gone[one]:,} of {due[one]:,} flights from {origin} are not there on days of {one}, but a "
                f"week before and a week after; at most {GONE:.0%} is normal"
            )


def _gaps(flights: pd.DataFrame, weather: pd.DataFrame) -> Sentences:
    """The weather of each airport covers its flights."""
    for origin, departures in flights.groupby("origin")["scheduled_departure"]:
        edges = [departures.min(), departures.max()]
        known = weather.loc[weather["origin"] == origin, "time_hour"]
        instants = pd.DatetimeIndex([edges[0], *known[known.between(*edges)], edges[1]])
        gaps = instants[1:] - instants[:-1]
        if gaps.max() > LONGEST_GAP:
            at = int(gaps.argmax())
            begin, end = instants[at], instants[at + 1]
            yield f"time_hour: no weather of {origin} from {begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}"


def _frozen(weather: pd.DataFrame) -> Sentences:
    """One value for hours on end; a missing value counts as a value."""
    for column in ("temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"):
        values = weather[column]
        same = (values == values.shift()) | (values.isna() & values.shift().isna())
        run = (~same | (weather["origin"] != weather["origin"].shift())).cumsum()
        lasting = values.isna() if np.isnan(LASTING.get(column, 0.0)) else values == LASTING.get(column)
        rows = run.map(run.value_counts())
        most = np.where(lasting, FROZEN_LASTING, FROZEN)
        frozen = rows > most
        if frozen.any():
            first = weather.index[frozen][0]
            origin, since = weather["origin"][first], weather["time_hour"][first]
            yield (
                f"{column}: the same value in {rows[first]:,} rows of {origin} from {since:%Y-%m-%d %H:%M} on "
                f"(first: row {first} = {values[first]:g}); at most {most[frozen][0]} are normal"
            )


def _swapped(weather: pd.DataFrame) -> Sentences:
    """Each airport has its own level of pressure and moisture: 0 of 36 pairs of a month are the other way round."""
    for column, high, low, least in HIGHER:
        wide = weather.pivot_table(index=["month", "time_hour"], columns="origin", values=column)
        if not {high, low} <= set(wide):
            continue
        months = (wide[high] - wide[low]).groupby("month").agg(["mean", "count"])
        wrong = months[(months["mean"] < 0) & (months["count"] >= MIN_HOURS)]
        if len(wrong):
            yield (
                f"{column}: lower at {high} than at {low} by {-wrong['mean'].iloc[0]:.2f} in 2013-{wrong.index[0]:02}, "
                f"at least {least:g} higher is normal: are the airports swapped ({len(wrong)} of {len(months)} months)?"
            )


def _shifted(weather: pd.DataFrame) -> Sentences:
    """The day's curve of the temperature follows the sun: with later weather, features would contain the future."""
    turn = np.exp(2j * np.pi * np.arange(24) / 24)
    hour = weather["time_hour"].dt.hour
    curves = weather.groupby(["origin", "month", hour.rename("at")])["temp"].mean().unstack().reindex(columns=range(24))
    hours = weather.groupby(["origin", "month"])["temp"].count()
    warmest = pd.Series(np.angle(curves.to_numpy() @ turn) * 12 / np.pi, curves.index)
    usual = warmest.index.get_level_values("origin").map(WARMEST).to_numpy(float)
    late = (warmest - usual + 12) % 24 - 12
    off = late[(late.abs() > WARMEST_WITHIN) & (hours >= MIN_HOURS)]
    if len(off):
        (origin, month), hours_late = off.index[0], off.iloc[0]
        yield (
            f"temp: the warmest hour of the day at {origin} in 2013-{month:02} is {abs(hours_late):.1f} hours too "
            f"{'late' if hours_late > 0 else 'early'}, within {WARMEST_WITHIN:g} is normal: are the hours shifted "
            f"({len(off)} of {len(late)} months of an airport)?"
        )
