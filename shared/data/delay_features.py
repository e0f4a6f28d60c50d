"""Features from the departure boards: delays that have already happened one hour before a flight.

Each group (an airport, a carrier, a flight number) gets a stretch of time of its own, `APART` from the next one. One
sorted array then holds the events of all groups, and one search finds what every flight's group knew.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Minutes = NDArray[np.float64]

APART = 1e9  # minutes, 1,900 years: between the stretches of two groups
ALWAYS = APART / 2  # minutes: a window that holds every earlier event of a group, and none of another one
OVERDUE_AFTER = 15  # minutes since the scheduled departure
LATE_MINUTES = 15  # the US Department of Transportation's on-time rule
EN_ROUTE = (-60, 120)  # minutes: one extreme flight must not make the mean of a small airport
EXTREME = (-30, 90)  # minutes, for the same reason: few flights are behind each mean


def recent_delays(flights: pd.DataFrame, asked_at: pd.Series) -> pd.DataFrame:
    """For each flight, the delays known at `asked_at`: mean minutes, NaN where nothing happened, and counts.

    flights: scheduled_departure, scheduled_arrival (UTC), dep_delay, arr_delay (minutes), origin, dest, carrier,
    flight (its number). A departure is known from the instant the aircraft left, an arrival from the instant it
    landed. The schema has the unit of each column.
    """
    at = _minutes(asked_at)
    scheduled = _minutes(flights["scheduled_departure"])
    of_departures = flights["dep_delay"].to_numpy(float)
    of_arrivals = flights["arr_delay"].to_numpy(float)
    en_route = np.clip(of_arrivals - of_departures, *EN_ROUTE)  # what a flight lost after it had left
    damped = np.clip(of_arrivals, *EXTREME)
    late = np.where(of_arrivals >= LATE_MINUTES, 100.0, 0.0)  # %
    departed = scheduled + of_departures
    landed = _minutes(flights["scheduled_arrival"]) + of_arrivals
    origin, dest, carrier = (_stretches(flights, [name]) for name in ("origin", "dest", "carrier"))
    number = _stretches(flights, ["carrier", "flight"])
    airport_1h, departures_1h = _mean(departed + origin, of_departures, at + origin, window=60)
    return pd.DataFrame(
        {
            "airport_delay_1h": airport_1h,
            "airport_delay_3h": _mean(departed + origin, of_departures, at + origin, window=180)[0],
            "airport_departures_1h": departures_1h,
            "airport_overdue": _overdue(scheduled + origin, departed + origin, at + origin, within=180),
            "all_airports_overdue": _overdue(scheduled, departed, at, within=240),
            "carrier_delay_4h": _mean(departed + carrier, of_departures, at + carrier, window=240)[0],
            "arrival_delay_6h": _mean(landed + origin, of_arrivals, at + origin, window=360)[0],
            "arrival_delay_24h": _mean(landed + origin, of_arrivals, at + origin, window=1440)[0],
            "dest_delay_12h": _mean(landed + dest, of_arrivals, at + dest, window=720)[0],
            "dest_en_route_delay_12h": _mean(landed + dest, en_route, at + dest, window=720)[0],
            "flight_delay_last_10": _mean(landed + number, damped, at + number, window=ALWAYS, most=10)[0],
            "flight_late_last_40": _mean(landed + number, late, at + number, window=ALWAYS, most=40)[0],
        },
        index=flights.index,
    )


def _minutes(instants: pd.Series) -> Minutes:
    """Minutes since 1970; NaN for a missing instant."""
    return np.asarray((instants - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(minutes=1), dtype=np.float64)


def _stretches(flights: pd.DataFrame, group: list[str]) -> Minutes:
    """(n,) minutes to add to every time of a flight, so that times of different groups are `APART`."""
    return np.asarray(flights.groupby(group, sort=False).ngroup() * APART, dtype=np.float64)


def _mean(
    when: Minutes, value: Minutes, at: Minutes, *, window: float, most: int | None = None
) -> tuple[Minutes, Minutes]:
    """Mean of `value`, and number of events, in the `window` minutes up to `at`; of the last `most` events at most.

    when: minute of each event, NaN for one that never happened.
    """
    order = np.argsort(when, kind="stable")[: np.count_nonzero(~np.isnan(when))]  # NaN comes last
    running = np.concatenate([[0.0], np.cumsum(value[order])])
    first, last = _until(when[order], at - window), _until(when[order], at)
    if most:
        first = np.maximum(first, last - most)
    count = last - first
    total = running[last] - running[first]
    return np.divide(total, count, out=np.full(len(at), np.nan), where=count > 0), count.astype(float)


def _overdue(scheduled: Minutes, departed: Minutes, at: Minutes, *, within: float) -> Minutes:
    """How many flights of the last `within` minutes should have left by `at` and have not, cancelled flights included.

    A flight is overdue from `OVERDUE_AFTER` until it leaves: how many began to be, less how many ended.
    """
    begins, ends = scheduled + OVERDUE_AFTER, np.fmin(departed, scheduled + within)  # fmin ignores NaN: never left
    overdue = ends > begins
    return (_until(np.sort(begins[overdue]), at) - _until(np.sort(ends[overdue]), at)).astype(float)


def _until(events: Minutes, at: Minutes) -> NDArray[np.intp]:
    """How many of the sorted `events` are not after each `at`; asked in order, which takes a third of the time."""
    order = np.argsort(at, kind="stable")
    count = np.empty(len(at), np.intp)
    count[order] = np.searchsorted(events, at[order], side="right")
    return count
