"""One row per flight: what was known one hour before its scheduled departure, and how it ended."""

import hashlib
import time
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import pandas as pd

from shared.data.delay_features import recent_delays
from shared.data.raw import Raw, data_folder, raw_digests, read_raw
from shared.data.schema import FLIGHT, WEATHER, check
from shared.files import write_parquet
from shared.settings import Settings

LEAD = pd.Timedelta(hours=1)  # a prediction is asked for this long before the scheduled departure
LATE_MINUTES = 15  # the US Department of Transportation's on-time rule
DAY = 86_400  # seconds


def load_flights(settings: Settings) -> pd.DataFrame:
    """All departures of 2013, checked, in order of prediction; built once, then read from a cache.

    The cache is keyed by the raw files and by the code that makes the table, so it cannot be stale.
    Raises DataError when a raw table breaks its contract.
    """
    folder = data_folder(settings.data)
    key = hashlib.sha256()
    for digest in raw_digests(folder).values():
        key.update(digest.encode())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        key.update(source.read_bytes())
    cache = settings.level("shared") / f"flights-{key.hexdigest()[:16]}.parquet"
    if not cache.exists():
        write_parquet(build_flights(read_raw(folder)), cache)
        _clear(cache)
    return _read(cache).copy(deep=False)  # pandas copies what is written to: nobody else sees it


def _clear(newest: Path) -> None:
    """Remove what other code or data have made, and killed builds left; of the last day it may be in use."""
    for file in [*newest.parent.glob("flights-*.parquet"), *newest.parent.glob("*.part")]:
        with suppress(OSError):  # another command clears as well, or reads it: then it goes the next time
            if file != newest and file.stat().st_mtime < time.time() - DAY:
                file.unlink()


@lru_cache(maxsize=1)
def _read(cache: Path) -> pd.DataFrame:
    return pd.read_parquet(cache)


def build_flights(raw: Raw) -> pd.DataFrame:
    """Join the raw tables point in time: one row per flight, in the contract's columns (`schema.FLIGHT`)."""
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
    """SHA-256 over names, types and values of a table: two tables are equal when their digests are."""
    total = hashlib.sha256(repr([(name, str(kind)) for name, kind in table.dtypes.items()]).encode())
    total.update(pd.util.hash_pandas_object(table, index=False).to_numpy().tobytes())
    return total.hexdigest()


write_whole = write_parquet  # its old name
