"""Features from the departure boards: delays that have already happened one hour before a flight."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Minutes = NDArray[np.float64]

OVERDUE_AFTER, OVERDUE_WITHIN = 15, 180  # minutes since the scheduled departure


def recent_delays(flights: pd.DataFrame, asked_at: pd.Series) -> pd.DataFrame:
    """For each flight, the delays known at `asked_at`: mean minutes, NaN where nothing happened, and counts.

    flights: scheduled_departure, scheduled_arrival (UTC), dep_delay, arr_delay (minutes), origin, dest, carrier.
    A departure is known from the instant the aircraft left, an arrival from the instant it landed.
    """
    at = _minutes(asked_at)
    departed = _minutes(flights["scheduled_departure"]) + flights["dep_delay"].to_numpy(float)
    arrived = _minutes(flights["scheduled_arrival"]) + flights["arr_delay"].to_numpy(float)
    of_departures = flights["dep_delay"].to_numpy(float)
    of_arrivals = flights["arr_delay"].to_numpy(float)
    airport_1h, departures_1h = _mean_since(60, departed, of_departures, at, flights["origin"])
    return pd.DataFrame(
        {
            "airport_delay_1h": airport_1h,
            "airport_delay_3h": _mean_since(180, departed, of_departures, at, flights["origin"])[0],
            "airport_departures_1h": departures_1h,
            "airport_overdue": _overdue(_minutes(flights["scheduled_departure"]), departed, at, flights["origin"]),
            "carrier_delay_4h": _mean_since(240, departed, of_departures, at, flights["carrier"])[0],
            "arrival_delay_6h": _mean_since(360, arrived, of_arrivals, at, flights["origin"])[0],
            "arrival_delay_24h": _mean_since(1440, arrived, of_arrivals, at, flights["origin"])[0],
            "dest_delay_12h": _mean_since(720, arrived, of_arrivals, at, flights["dest"])[0],
        },
        index=flights.index,
    )


def _minutes(instants: pd.Series) -> Minutes:
    """Minutes since 1970; NaN for a missing instant."""
    return np.asarray((instants - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(minutes=1), dtype=np.float64)


def _rows(group: pd.Series) -> list[NDArray[np.intp]]:
    """The row numbers of each group."""
    codes = pd.factorize(group)[0]
    return [np.flatnonzero(codes == code) for code in range(codes.max() + 1)]


def _mean_since(window: int, when: Minutes, value: Minutes, at: Minutes, group: pd.Series) -> tuple[Minutes, Minutes]:
    """Mean of `value`, and number of events, in the `window` minutes up to `at`, within each group."""
    mean, count = np.full(len(at), np.nan), np.zeros(len(at))
    for rows in _rows(group):
        events = rows[~np.isnan(when[rows])]
        events = events[np.argsort(when[events], kind="stable")]
        running = np.concatenate([[0.0], np.cumsum(value[events])])
        first = np.searchsorted(when[events], at[rows] - window, side="right")
        last = np.searchsorted(when[events], at[rows], side="right")
        count[rows] = last - first
        mean[rows] = np.divide(running[last] - running[first], last - first, out=mean[rows], where=last > first)
    return mean, count


def _overdue(scheduled: Minutes, departed: Minutes, at: Minutes, group: pd.Series) -> Minutes:
    """How many flights of the group should have left by `at` and have not, cancelled flights included."""
    overdue = np.zeros(len(at))
    for rows in _rows(group):
        order = rows[np.argsort(scheduled[rows], kind="stable")]
        left = np.where(np.isnan(departed[order]), np.inf, departed[order])
        first = np.searchsorted(scheduled[order], at[rows] - OVERDUE_WITHIN, side="right")
        last = np.searchsorted(scheduled[order], at[rows] - OVERDUE_AFTER, side="right")
        for step in range(int((last - first).max())):
            flight = first + step
            overdue[rows] += (flight < last) & (left[np.minimum(flight, len(order) - 1)] > at[rows])
    return overdue
