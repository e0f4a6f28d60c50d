"""One row per flight: what was known one hour before its scheduled departure, and whether it arrived late."""

import hashlib
import time
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import pandas as pd

from shared.console import console
from shared.data.delay_features import LATE_MINUTES, recent_delays
from shared.data.raw import Raw, data_folder, raw_digests, read_raw
from shared.data.schema import FLIGHT, WEATHER, check
from shared.files import StateError, read_parquet, source_digest, write_parquet
from shared.settings import PROJECT, Settings

LEAD = pd.Timedelta(hours=1)  # a prediction is requested this long before the scheduled departure
DAY = 86_400  # seconds
CODE = [  # every module that this table depends on; a test compares the list with the imports
    "shared/data/consistency_checks.py",
    "shared/data/delay_features.py",
    "shared/data/flights.py",
    "shared/data/raw.py",
    "shared/data/schema.py",
    "shared/data/timezones.py",
    "shared/data/year_checks.py",
    "shared/settings.py",
]


def load_flights(settings: Settings) -> pd.DataFrame:
    """All departures of 2013, checked, in order of prediction; built once, then read from a cache.

    Raises DataError when a raw table breaks its contract.
    """
    folder = data_folder(settings.data)
    cache = settings.level("shared") / f"flights-{cache_key(folder)}.parquet"
    if not cache.exists():
        _build(folder, cache)
    try:
        table = _read(cache)
    except StateError as error:
        console.print(f"{error.reason} It is built again.")
        _build(folder, cache)
        table = _read(cache)
    return table.copy(deep=False)  # pandas copies on write, so other callers see no changes


def _build(folder: Path, cache: Path) -> None:
    write_parquet(build_flights(read_raw(folder)), cache)
    _clear(cache)


def cache_key(folder: Path) -> str:
    """16 characters that change with the raw files in `folder` and with the code that makes the table."""
    parts = [*raw_digests(folder).values(), source_digest(PROJECT, CODE)]
    return hashlib.sha256("".join(parts).encode()).hexdigest()[:16]


def _clear(newest: Path) -> None:
    """Remove the caches of other code or data and the parts that killed builds left, once they are a day old."""
    for file in [*newest.parent.glob("flights-*"), *newest.parent.glob("*.part")]:
        with suppress(OSError):  # another command removes or reads it now: it is removed the next time
            if not file.name.startswith(newest.name) and file.stat().st_mtime < time.time() - DAY:
                file.unlink()


@lru_cache(maxsize=1)
def _read(cache: Path) -> pd.DataFrame:
    return read_parquet(cache, f"remove {cache}; it is built again.")


def build_flights(raw: Raw) -> pd.DataFrame:
    """Join the raw tables point in time: one row per flight, with the columns of `schema.FLIGHT`.

    The weather is that of the last full hour before the prediction.
    """
    flights = raw.flights.reset_index(drop=True)
    asked_at = flights["scheduled_departure"] - LEAD
    last_full_hour = asked_at.dt.floor("h") - pd.Timedelta(hours=1)
    weather = raw.weather.set_index(["origin", "time_hour"])[list(WEATHER)]
    table = pd.concat(
        [
            flights[["carrier", "origin", "dest", "scheduled_departure", "scheduled_arrival"]],
            flights["distance"].astype(float),
            weather.reindex(pd.MultiIndex.from_arrays([flights["origin"], last_full_hour])).reset_index(drop=True),
            recent_delays(flights, asked_at),
        ],
        axis=1,
    )
    day = pd.to_datetime(flights[["year", "month", "day"]]).dt.strftime("%Y-%m-%d")
    landed = flights["scheduled_arrival"] + pd.to_timedelta(flights["arr_delay"], unit="min")
    table = table.assign(
        flight_id=day + "-" + flights["carrier"] + flights["flight"].astype(str) + "-" + flights["origin"],
        predicted_at=asked_at,
        arrival_delay=flights["arr_delay"],
        late=(flights["arr_delay"] >= LATE_MINUTES).astype(float).where(flights["arr_delay"].notna()),
        label_known_at=landed,
    )
    table = table.sort_values(["predicted_at", "flight_id"], ignore_index=True)[list(FLIGHT.columns)]
    return check(table, FLIGHT, "the joined flights")


def digest(table: pd.DataFrame) -> str:
    """SHA-256 over names, types and values of a table: tables with the same digest are equal."""
    total = hashlib.sha256(repr([(name, str(kind)) for name, kind in table.dtypes.items()]).encode())
    total.update(pd.util.hash_pandas_object(table, index=False).to_numpy().tobytes())
    return total.hexdigest()
