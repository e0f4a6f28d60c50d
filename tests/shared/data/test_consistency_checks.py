"""Columns that contradict each other are named: a changed unit, in the whole year or one month, a shifted hour."""

import re
from collections.abc import Callable

import pandas as pd
import pytest

from shared.data.raw import FILES
from tests.shared.data.tables import Change, To, one, refusal


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
    message = refusal(change(table, make(month)), FILES[table].removesuffix(".zip"))
    assert re.search(rf"^{column}: [\d,]+ of [\d,]+ values .*\(first: row \d+ = ", message, re.MULTILINE), message


def shifted(hours: float) -> To:
    """time_hour so many hours later, in all rows."""

    def to(table: pd.DataFrame) -> pd.DataFrame:
        later = pd.to_datetime(table["time_hour"]) + pd.Timedelta(hours=hours)
        return table.assign(time_hour=later.dt.strftime("%Y-%m-%dT%H:%M:%SZ"))

    return to


def local_as_utc(table: pd.DataFrame) -> pd.DataFrame:
    local = pd.to_datetime(table["time_hour"]).dt.tz_convert("America/New_York")
    return table.assign(time_hour=local.dt.strftime("%Y-%m-%dT%H:%M:%SZ"))


@pytest.mark.parametrize(
    ("table", "to"),
    [
        *[(table, shifted(hours)) for table in ("flights", "weather") for hours in (1, -3)],
        *[(table, local_as_utc) for table in ("flights", "weather")],
        *[(table, one("time_hour", "2031-07-01T15:00:00Z")) for table in ("flights", "weather")],
        *[(table, lambda sound: one("day", 31)(one("month", 2)(sound))) for table in ("flights", "weather")],
    ],
)
def test_an_hour_that_is_not_the_rows_own_is_named(table: str, to: To, change: Change) -> None:
    """Weather an hour too early would let a model see the future; a local time taken for UTC would move all flights."""
    message = refusal(change(table, to), FILES[table].removesuffix(".zip"))
    named = r"^time_hour: [\d,]+ of [\d,]+ values are not the row's year.*\(first: row \d+ = "
    assert re.search(named, message, re.MULTILINE), message
