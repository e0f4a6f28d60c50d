"""A raw table that breaks its contract stops with the column, the count, an example row, the file and the remedy."""

import re
from pathlib import Path

import pandas as pd
import pytest

from shared.data.flights import load_flights
from shared.data.raw import FILES
from shared.data.schema import FLIGHT, DataError, check
from shared.settings import read_settings
from tests.shared.data.tables import Change, To, one, refusal


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
        ("flights", one("minute", 14.6), "minute", "not a whole number"),
        ("flights", one("sched_arr_time", 1275), "sched_arr_time", "not a time on the clock"),
        ("flights", one("dep_time", 1275), "dep_time", "not a time on the clock"),
        ("flights", one("month", "May"), "month", "not of the column's type"),
        ("weather", one("wind_speed", "strong"), "wind_speed", "not of the column's type"),
        ("weather", one("temp", 412.0), "temp", "outside [-40, 115] °F"),
        ("weather", one("wind_speed", 1048.4), "wind_speed", "outside [0, 150] mph"),
        ("weather", one("visib", 16.09), "visib", "outside [0, 10] miles"),
        ("weather", one("pressure", 30.1), "pressure", "outside [920, 1070] mbar"),
        ("airports", one("lat", 95.0), "lat", "outside [-90, 90] degrees"),
    ],
)
def test_one_impossible_value_is_named(table: str, to: To, column: str, says: str, change: Change) -> None:
    message = refusal(change(table, to), says, "(first: row 7 = ", FILES[table].removesuffix(".zip"))
    assert message.startswith(f"{column}: 1 of ")


@pytest.mark.parametrize(
    ("table", "column"),
    [("flights", "carrier"), ("flights", "dest"), ("flights", "distance"), ("flights", "time_hour"),
     ("flights", "sched_arr_time"), ("weather", "origin"), ("weather", "time_hour"), ("airports", "lat")],
)  # fmt: skip
def test_a_missing_value_in_a_required_column_is_named(table: str, column: str, change: Change) -> None:
    message = refusal(change(table, one(column, None)))
    assert re.search(rf"^{column}: 1 of [\d,]+ values .*row 7", message, re.MULTILINE), message


@pytest.mark.parametrize(
    ("table", "column"),
    [("flights", "arr_delay"), ("flights", "time_hour"), ("weather", "temp"), ("weather", "origin"),
     ("airports", "tzone")],
)  # fmt: skip
def test_a_renamed_column_is_named(table: str, column: str, change: Change) -> None:
    instead = column.upper()  # what the file has
    folder = change(table, lambda sound: sound.rename(columns={column: instead}))
    refusal(folder, f"no column {column} ", instead, FILES[table])


@pytest.mark.parametrize("table", ["flights", "weather", "airports"])
def test_duplicated_rows_are_counted(table: str, change: Change) -> None:
    folder = change(table, lambda sound: pd.concat([sound, sound.head(3)], ignore_index=True))
    message = refusal(folder, "duplicate", FILES[table])
    assert re.search(r"\b[36] of [\d,]+ ", message), message


@pytest.mark.parametrize(
    ("to", "end"),
    [
        (lambda airports: airports[airports["faa"] != "EWR"], "origin"),
        (
            lambda airports: airports.assign(tzone=airports["tzone"].mask(airports["faa"] == "LAX", "Mars/Olympus")),
            "dest",
        ),
    ],
)
def test_an_airport_that_is_not_there_or_in_no_time_zone_is_named(to: To, end: str, change: Change) -> None:
    message = refusal(change("airports", to), "Remedy: correct the airport in airports.csv")
    assert re.match(rf"{end}: [\d,]+ of [\d,]+ values .* without a time zone .*row \d+ = (EWR|LAX)", message)


@pytest.mark.parametrize("table", ["flights", "weather", "airports"])
def test_a_table_without_a_row_is_named(table: str, change: Change) -> None:
    refusal(change(table, lambda sound: sound.head(0)), "it has no row", FILES[table])


def test_every_broken_column_is_named_at_once(change: Change) -> None:
    message = refusal(change("weather", lambda sound: one("temp", 412.0)(one("humid", 140.0)(sound))))
    assert set(re.findall("^(temp|humid): ", message, re.MULTILINE)) == {"temp", "humid"}


def test_a_truncated_file_is_named(folder: Path) -> None:
    file = folder / FILES["flights"]
    file.write_bytes(file.read_bytes()[:100_000])
    refusal(folder, str(file), "Remedy: fetch the file anew")


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


def test_a_flight_is_late_or_it_is_not(flights: pd.DataFrame) -> None:
    half = flights.head(100).assign(late=flights["late"].where(flights.index != 7, 0.5))
    with pytest.raises(DataError, match=r"late: 1 of .* values not a whole number \(first: row 7 = 0\.5\)"):
        check(half, FLIGHT, "the joined flights")
