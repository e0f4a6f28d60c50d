"""The data contract: types, units, ranges, allowed values and source of every column.

The raw tables are checked when they are read (`FLIGHTS_CSV`, `WEATHER_CSV`, `AIRPORTS_CSV`), the joined
table before it is used (`FLIGHT`). A range cannot detect a changed unit, because a temperature in °C lies within
every range for °F. So each raw table also has checks between its columns (`shared.data.consistency_checks`).
"""

from typing import Any

import pandas as pd
import pandera.pandas as pa
from pandera.errors import SchemaErrors

from shared.data.consistency_checks import HUMIDITY, SCHEDULED_HOUR, SPEED, TIME_HOUR, delay_fits_clock, whole_knots
from shared.errors import UserError

ORIGINS = ["EWR", "JFK", "LGA"]
WHOLE = pa.Check(lambda values: values % 1 == 0, error="not a whole number")
ON_A_CLOCK = pa.Check(lambda values: values % 100 < 60, error="not a time on the clock, HHMM")


class DataError(UserError):
    """A table that breaks its contract; the message says where, what, how often, and the remedy."""


def number(  # noqa: PLR0913 - a column's contract in one line
    unit: str, low: float, high: float, source: str, *, missing: bool = False, whole: bool = False
) -> pa.Column:
    """A column of numbers in `unit` within [low, high]."""
    checks = [pa.Check.in_range(low, high, error=f"outside [{low:g}, {high:g}] {unit}")]
    checks += [WHOLE] if whole else []
    checks += [ON_A_CLOCK] if unit == "HHMM" else []
    about = {"unit": unit, "low": low, "high": high, "source": source, "whole": whole}
    return pa.Column(float, checks, nullable=missing, metadata=about)


def code(pattern: str, source: str) -> pa.Column:
    """A column of short codes that match `pattern`."""
    return pa.Column(
        str,
        pa.Check.str_matches(f"^{pattern}$", error=f"not of the form {pattern}"),
        metadata={"pattern": pattern, "source": source},
    )


def one_of(allowed: list[str], source: str) -> pa.Column:
    """A column of values from a closed list."""
    return pa.Column(
        str,
        pa.Check.isin(allowed, error=f"not one of {', '.join(allowed)}"),
        metadata={"allowed": allowed, "source": source},
    )


def instant(source: str, *, missing: bool = False) -> pa.Column:
    """A column of instants in UTC."""
    return pa.Column("datetime64[us, UTC]", nullable=missing, metadata={"unit": "UTC", "source": source})


def hour_of(source: str) -> dict[str, pa.Column]:
    """The columns that hold an hour of 2013 twice: in New York's local time, and as an instant."""
    return {
        "year": number("year", 2013, 2013, source, whole=True),
        "month": number("month", 1, 12, source, whole=True),
        "day": number("day", 1, 31, source, whole=True),
        "hour": number("hour", 0, 23, source, whole=True),
        "time_hour": instant(source),
    }


WEATHER = {
    "temp": number("°F", -40, 115, "weather.csv", missing=True),
    "dewp": number("°F", -60, 90, "weather.csv", missing=True),
    "humid": number("%", 0, 100, "weather.csv", missing=True),
    "wind_dir": number("degrees", 0, 360, "weather.csv", missing=True),
    "wind_speed": number("mph", 0, 150, "weather.csv", missing=True),
    "wind_gust": number("mph", 0, 200, "weather.csv", missing=True),
    "precip": number("inches", 0, 6, "weather.csv", missing=True),
    "pressure": number("mbar", 920, 1070, "weather.csv", missing=True),
    "visib": number("miles", 0, 10, "weather.csv", missing=True),
}


FLIGHTS_CSV = pa.DataFrameSchema(
    {
        **hour_of("flights.csv"),
        "carrier": code("[A-Z0-9]{2}", "flights.csv"),
        "flight": number("number", 1, 9999, "flights.csv", whole=True),
        "origin": one_of(ORIGINS, "flights.csv"),
        "dest": code("[A-Z]{3}", "flights.csv"),
        "distance": number("miles", 10, 6000, "flights.csv", whole=True),
        "sched_dep_time": number("HHMM", 0, 2400, "flights.csv", whole=True),
        "sched_arr_time": number("HHMM", 0, 2400, "flights.csv", whole=True),
        "dep_time": number("HHMM", 0, 2400, "flights.csv", missing=True),
        "arr_time": number("HHMM", 0, 2400, "flights.csv", missing=True),
        "dep_delay": number("minutes", -120, 2880, "flights.csv", missing=True),
        "arr_delay": number("minutes", -180, 2880, "flights.csv", missing=True),
        "air_time": number("minutes", 10, 1000, "flights.csv", missing=True),
        "minute": number("minutes", 0, 59, "flights.csv", whole=True),
    },
    checks=[
        TIME_HOUR,
        SCHEDULED_HOUR,
        delay_fits_clock("sched_dep_time", "dep_time", "dep_delay"),
        delay_fits_clock("sched_arr_time", "arr_time", "arr_delay"),
        SPEED,
    ],
    unique=["year", "month", "day", "carrier", "flight", "origin"],
    coerce=True,
)
WEATHER_CSV = pa.DataFrameSchema(
    {"origin": one_of(ORIGINS, "weather.csv"), **hour_of("weather.csv"), **WEATHER},
    checks=[TIME_HOUR, HUMIDITY, whole_knots("wind_speed"), whole_knots("wind_gust")],
    unique=["origin", "time_hour"],
    coerce=True,
)
AIRPORTS_CSV = pa.DataFrameSchema(
    {
        "faa": code("[A-Z0-9]{3}", "airports.csv"),
        "lat": number("degrees", -90, 90, "airports.csv"),
        "lon": number("degrees", -180, 180, "airports.csv"),
        "tzone": pa.Column(str, nullable=True, metadata={"source": "airports.csv"}),  # checked where it is used
    },
    unique=["faa"],
    coerce=True,
)

SCHEDULE = {
    "carrier": code("[A-Z0-9]{2}", "flights.csv"),
    "origin": one_of(ORIGINS, "flights.csv"),
    "dest": code("[A-Z]{3}", "flights.csv"),
    "distance": number("miles", 10, 6000, "flights.csv"),
    "scheduled_departure": instant("flights.csv"),
    "scheduled_arrival": instant("flights.csv, airports.csv"),
}
RECENT_DELAYS = {
    "airport_delay_1h": number("minutes", -120, 2880, "flights.csv", missing=True),
    "airport_delay_3h": number("minutes", -120, 2880, "flights.csv", missing=True),
    "airport_departures_1h": number("flights", 0, 200, "flights.csv"),
    "airport_overdue": number("flights", 0, 400, "flights.csv"),
    "all_airports_overdue": number("flights", 0, 1200, "flights.csv"),
    "carrier_delay_4h": number("minutes", -120, 2880, "flights.csv", missing=True),
    "arrival_delay_6h": number("minutes", -180, 2880, "flights.csv", missing=True),
    "arrival_delay_24h": number("minutes", -180, 2880, "flights.csv", missing=True),
    "dest_delay_12h": number("minutes", -180, 2880, "flights.csv", missing=True),
    "dest_en_route_delay_12h": number("minutes", -60, 120, "flights.csv", missing=True),
    "flight_delay_last_10": number("minutes", -30, 90, "flights.csv", missing=True),
    "flight_late_last_40": number("% of flights", 0, 100, "flights.csv", missing=True),
}
KNOWN_BEFORE = {**SCHEDULE, **WEATHER, **RECENT_DELAYS}
FLIGHT = pa.DataFrameSchema(
    {
        "flight_id": code(r"2013-\d\d-\d\d-[A-Z0-9]{2}\d{1,4}-[A-Z]{3}", "flights.csv"),
        "predicted_at": instant("one hour before scheduled_departure"),
        **KNOWN_BEFORE,
        "arrival_delay": number("minutes", -180, 2880, "flights.csv", missing=True),
        "late": number("1 if arrival_delay >= 15 minutes", 0, 1, "flights.csv", missing=True, whole=True),
        "label_known_at": instant("flights.csv, airports.csv", missing=True),
    },
    unique=["flight_id"],
    strict=True,
)


def check(table: pd.DataFrame, schema: pa.DataFrameSchema, where: str) -> pd.DataFrame:
    """Return `table` in the schema's types; raises DataError with every column of `where` that breaks it."""
    missing = [name for name in schema.columns if name not in table]
    if missing:
        raise DataError(
            f"{where}: no column {', '.join(missing)} (it has {', '.join(map(str, table.columns))}). "
            "Remedy: restore the original column names, or fetch the file anew."
        )
    if table.empty:
        raise DataError(f"{where}: it has no row. Remedy: fetch the file anew.")
    whole = [name for name, column in schema.columns.items() if column.metadata.get("whole") and not column.nullable]
    try:
        return schema.validate(table, lazy=True).astype(dict.fromkeys(whole, int))
    except SchemaErrors as errors:  # Pandera's own text lists every cell
        lines = dict.fromkeys(_sentence(table, failure, where) for failure in errors.schema_errors)
        remedy = f"Remedy: correct {where} or fetch it anew; none of it was used."
        raise DataError("\n".join([*lines, remedy])) from None


def _sentence(table: pd.DataFrame, failure: Any, where: str) -> str:
    """One broken rule in a line: column, count, rule, example row, file."""
    cases = failure.failure_cases
    if not isinstance(cases, pd.DataFrame):
        return f"{where}: {failure}"
    rows = list(cases["index"].dropna().unique()) if "index" in cases else []
    reason = str(failure.reason_code.value).lower().replace("dtype_coercion_error", "not of the column's type")
    rule = failure.check.error if isinstance(failure.check, pa.Check) else reason
    unique = ", ".join(getattr(failure.schema, "unique", None) or ["rows"])
    name = failure.schema.name or (failure.check.name if isinstance(failure.check, pa.Check) else unique)
    if not rows:
        return f"{name}: {rule} ({cases['failure_case'].iloc[0]}) in {where}"
    value = table.loc[rows[0], name] if name in table else cases["failure_case"].iloc[0]
    return f"{name}: {len(rows):,} of {len(table):,} values {rule} (first: row {rows[0]} = {value}) in {where}"
