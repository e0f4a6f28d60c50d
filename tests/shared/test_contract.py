"""A raw table that breaks its contract stops with the column, the count, an example row, the file and the remedy."""

import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from shared.flights import load_flights
from shared.raw import FILES, read_raw
from shared.schema import DataError
from shared.settings import read_settings
from tests.shared.conftest import Change

To = Callable[[pd.DataFrame], pd.DataFrame]


def scaled(column: str, factor: float, month: int | None = None, *, whole: bool = False) -> To:
    """Another unit: `column` times `factor`, in one month or in all; rounded where the file has whole numbers."""

    def to(table: pd.DataFrame) -> pd.DataFrame:
        rows = slice(None) if month is None else table["month"] == month
        values = table[column].astype(float)
        values.loc[rows] = values.loc[rows] * factor
        return table.assign(**{column: values.round().astype(int) if whole else values})

    return to


def celsius(*columns: str, month: int | None = None) -> To:
    def to(table: pd.DataFrame) -> pd.DataFrame:
        rows = slice(None) if month is None else table["month"] == month
        for column in columns:
            table.loc[rows, column] = ((table.loc[rows, column] - 32) / 1.8).round(2)
        return table

    return to


def one(column: str, value: object) -> To:
    """One value of row 7 replaced."""
    return lambda table: table.assign(**{column: table[column].astype(object).where(table.index != 7, value)})


def test_the_sound_tables_are_accepted(folder: Path) -> None:
    assert len(read_raw(folder).flights) > 10_000


@pytest.mark.parametrize(
    ("table", "to", "column", "says"),
    [
        ("flights", one("distance", 100_000), "distance", "outside [10, 6000] miles"),
        ("flights", one("dep_delay", -500), "dep_delay", "outside [-120, 2880] minutes"),
        ("flights", one("month", 13), "month", "outside [1, 12] month"),
        ("flights", one("year", 2014), "year", "outside [2013, 2013] year"),
        ("flights", one("origin", "BOS"), "origin", "not one of EWR, JFK, LGA"),
        ("flights", one("carrier", "Delta"), "carrier", "not of the form [A-Z0-9]{2}"),
        ("flights", one("dest", "QQQ"), "dest", "without a time zone"),
        ("weather", one("temp", 412.0), "temp", "outside [-40, 115] °F"),
        ("weather", one("wind_speed", 1048.4), "wind_speed", "outside [0, 150] mph"),
        ("weather", one("visib", 16.09), "visib", "outside [0, 10] miles"),
        ("weather", one("pressure", 30.1), "pressure", "outside [920, 1070] mbar"),
        ("airports", one("lat", 95.0), "lat", "outside [-90, 90] degrees"),
    ],
)
def test_one_impossible_value_is_named(table: str, to: To, column: str, says: str, change: Change) -> None:
    folder = change(table, to)
    with pytest.raises(DataError) as error:
        read_raw(folder)
    message = str(error.value)
    assert message.startswith(f"{column}: 1 of ")
    assert says in message
    assert "(first: row 7 = " in message
    assert FILES[table].removesuffix(".zip") in message
    assert "Remedy: " in message


@pytest.mark.parametrize(
    ("table", "column"),
    [("flights", "carrier"), ("flights", "dest"), ("flights", "distance"), ("flights", "time_hour"),
     ("flights", "sched_arr_time"), ("weather", "origin"), ("weather", "time_hour"), ("airports", "lat")],
)  # fmt: skip
def test_a_missing_value_in_a_required_column_is_named(table: str, column: str, change: Change) -> None:
    with pytest.raises(DataError) as error:
        read_raw(change(table, one(column, None)))
    assert re.search(rf"^{column}: 1 of [\d,]+ values .*row 7", str(error.value), re.MULTILINE), error.value


@pytest.mark.parametrize(
    ("table", "column"),
    [("flights", "arr_delay"), ("flights", "time_hour"), ("weather", "temp"), ("airports", "tzone")],
)
def test_a_renamed_column_is_named(table: str, column: str, change: Change) -> None:
    with pytest.raises(DataError) as error:
        read_raw(change(table, lambda sound: sound.rename(columns={column: column.upper()})))
    assert f"no column {column} " in str(error.value)
    assert column.upper() in str(error.value), "what the file has instead"
    assert FILES[table] in str(error.value)
    assert "Remedy: " in str(error.value)


@pytest.mark.parametrize("month", [None, 1, 7])
@pytest.mark.parametrize(
    ("table", "column", "make"),
    [
        ("flights", "distance", lambda month: scaled("distance", 1.609344, month, whole=True)),
        ("flights", "air_time", lambda month: scaled("air_time", 1 / 60, month)),
        ("flights", "dep_delay", lambda month: scaled("dep_delay", 1 / 60, month)),
        ("flights", "arr_delay", lambda month: scaled("arr_delay", 1 / 60, month)),
        ("weather", "temp", lambda month: celsius("temp", month=month)),
        ("weather", "temp", lambda month: celsius("dewp", month=month)),
        ("weather", "temp", lambda month: celsius("temp", "dewp", month=month)),
        ("weather", "pressure", lambda month: scaled("pressure", 1 / 33.8639, month)),
        ("weather", "visib", lambda month: scaled("visib", 1.609344, month)),
    ],
)
def test_a_changed_unit_is_named_even_if_only_one_month_has_it(
    table: str, column: str, make: Callable[[int | None], To], month: int | None, change: Change
) -> None:
    with pytest.raises(DataError) as error:
        read_raw(change(table, make(month)))
    named = re.search(rf"^{column}: [\d,]+ of [\d,]+ values .*\(first: row \d+ = ", str(error.value), re.MULTILINE)
    assert named, error.value
    assert FILES[table].removesuffix(".zip") in str(error.value)
    assert "Remedy: " in str(error.value)


def shifted(hours: float) -> To:
    """time_hour so many hours later, in all rows."""

    def to(table: pd.DataFrame) -> pd.DataFrame:
        later = pd.to_datetime(table["time_hour"]) + pd.Timedelta(hours=hours)
        return table.assign(time_hour=later.dt.strftime("%Y-%m-%dT%H:%M:%SZ"))

    return to


def naive_local(table: pd.DataFrame) -> pd.DataFrame:
    local = pd.to_datetime(table["time_hour"]).dt.tz_convert("America/New_York")
    return table.assign(time_hour=local.dt.strftime("%Y-%m-%d %H:%M:%S"))


@pytest.mark.parametrize(
    ("table", "to"),
    [
        *[(table, shifted(hours)) for table in ("flights", "weather") for hours in (5, 4, 1, -1, -3)],
        *[(table, naive_local) for table in ("flights", "weather")],
        *[(table, one("time_hour", "2031-07-01T15:00:00Z")) for table in ("flights", "weather")],
        *[(table, lambda sound: one("day", 31)(one("month", 2)(sound))) for table in ("flights", "weather")],
    ],
)
def test_an_hour_that_is_not_the_rows_own_is_named(table: str, to: To, change: Change) -> None:
    """Weather an hour too early would let a model see the future; a local time taken for UTC would move all flights."""
    with pytest.raises(DataError) as error:
        read_raw(change(table, to))
    named = r"^time_hour: [\d,]+ of [\d,]+ values are not the row's year.*\(first: row \d+ = "
    assert re.search(named, str(error.value), re.MULTILINE), error.value
    assert FILES[table].removesuffix(".zip") in str(error.value)


@pytest.mark.parametrize("table", ["flights", "weather", "airports"])
def test_duplicated_rows_are_counted(table: str, change: Change) -> None:
    folder = change(table, lambda sound: pd.concat([sound, sound.head(3)], ignore_index=True))
    with pytest.raises(DataError) as error:
        read_raw(folder)
    assert re.search(r"\b[36] of [\d,]+ ", str(error.value)), error.value
    assert "duplicate" in str(error.value)
    assert FILES[table] in str(error.value)


def test_every_broken_column_is_named_at_once(change: Change) -> None:
    folder = change("weather", lambda sound: one("temp", 412.0)(one("humid", 140.0)(sound)))
    with pytest.raises(DataError) as error:
        read_raw(folder)
    assert re.search("^temp: ", str(error.value), re.MULTILINE)
    assert re.search("^humid: ", str(error.value), re.MULTILINE)


def test_a_truncated_file_is_named(folder: Path) -> None:
    file = folder / FILES["flights"]
    file.write_bytes(file.read_bytes()[:100_000])
    with pytest.raises(DataError, match=re.escape(str(file))) as error:
        read_raw(folder)
    assert "Remedy: fetch the file anew" in str(error.value)


@pytest.mark.parametrize("table", ["flights", "weather", "airports"])
def test_a_missing_file_is_named_through_the_setting(
    table: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / FILES[table]).unlink()
    monkeypatch.setenv("FLIGHTS_DATA", str(folder))
    monkeypatch.setenv("MLOPS_STATE", str(tmp_path / "state"))
    with pytest.raises(DataError, match=re.escape(FILES[table])) as error:
        load_flights(read_settings())
    assert str(folder) in str(error.value)
    assert "FLIGHTS_DATA" in str(error.value)


def test_what_fails_its_contract_is_not_cached(change: Change, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLIGHTS_DATA", str(change("weather", one("temp", 412.0))))
    monkeypatch.setenv("MLOPS_STATE", str(tmp_path / "state"))
    with pytest.raises(DataError):
        load_flights(read_settings())
    assert not list((tmp_path / "state").rglob("*.parquet"))
