"""Turn local times into instants in UTC, with time zones and daylight saving time."""

from zoneinfo import available_timezones

import numpy as np
import pandas as pd

from shared.data.schema import DataError

EARTH_RADIUS_MILES = 3958.8


def scheduled_instants(flights: pd.DataFrame, airports: pd.DataFrame) -> pd.DataFrame:
    """Add scheduled_departure and scheduled_arrival (UTC) to the raw flights.

    time_hour is the hour of the scheduled departure in UTC. The scheduled arrival has no date, only the local time
    at the destination: it is the first such time after the departure.
    Raises DataError for an airport that is not in `airports`, or at another distance than `airports` gives.
    """
    place = airports.set_index("faa")
    for end in ("origin", "dest"):
        unlisted = ~flights[end].isin(place.index[place["tzone"].isin(available_timezones())])
        if unlisted.any():
            first = flights.index[unlisted][0]
            raise DataError(
                f"{end}: {unlisted.sum():,} of {len(flights):,} values in flights.csv without a time zone in "
                f"airports.csv that exists (first: row {first} = {flights[end][first]}). "
                "Remedy: correct the airport in airports.csv, or add it."
            )
    _check_distances(flights, place)
    departure = flights["time_hour"] + pd.to_timedelta(flights["minute"], unit="min")
    clock = pd.to_timedelta(flights["sched_arr_time"] // 100 * 60 + flights["sched_arr_time"] % 100, unit="min")
    arrival = pd.Series(pd.NaT, index=flights.index, dtype=departure.dtype)
    for zone, rows in flights.groupby(flights["dest"].map(place["tzone"])).groups.items():
        midnight = departure[rows].dt.tz_convert(zone).dt.tz_localize(None).dt.normalize()
        today, tomorrow = (_to_utc(midnight + clock[rows] + pd.Timedelta(days=days), str(zone)) for days in (0, 1))
        arrival[rows] = today.where(today > departure[rows], tomorrow)
    return flights.assign(scheduled_departure=departure, scheduled_arrival=arrival)


def _to_utc(local: pd.Series, zone: str) -> pd.Series:
    """Local times as UTC. An hour that occurs twice means the second; a skipped hour means the first after it."""
    instants: pd.Series = local.dt.tz_localize(zone, ambiguous=False, nonexistent="shift_forward").dt.tz_convert("UTC")
    return instants


def _check_distances(flights: pd.DataFrame, place: pd.DataFrame) -> None:
    """Check distances against the great circle, within 8% and 15 miles; kilometres would be 61% off."""
    ends = [np.radians(place.loc[flights[end], ["lat", "lon"]].to_numpy()) for end in ("origin", "dest")]
    (lat, lon), (lat2, lon2) = ends[0].T, ends[1].T
    haversine = np.sin((lat2 - lat) / 2) ** 2 + np.cos(lat) * np.cos(lat2) * np.sin((lon2 - lon) / 2) ** 2
    circle = 2 * EARTH_RADIUS_MILES * np.arcsin(np.sqrt(haversine))
    off = np.abs(flights["distance"] - circle) > 15 + 0.08 * circle
    if off.any():
        first = flights.index[off][0]
        raise DataError(
            f"distance: {off.sum():,} of {len(flights):,} values are not the miles from origin to dest "
            f"(first: row {first} = {flights['distance'][first]}, by the map {circle[first]:.0f}) in flights.csv. "
            "Remedy: give the distance in miles, or correct the airport's coordinates."
        )
