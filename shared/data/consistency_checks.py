"""Checks within the rows of a raw table: they detect a changed unit, a shifted hour or a wrong time zone."""

import numpy as np
import pandas as pd
import pandera.pandas as pa

from shared.settings import NEW_YORK

MPH_PER_KNOT = 1.15078


def _minutes(clock: pd.Series) -> pd.Series:
    """Minutes after midnight of local times written as HHMM (2400 is midnight)."""
    return (clock // 100 * 60 + clock % 100) % 1440


def delay_fits_clock(scheduled: str, actual: str, delay: str) -> pa.Check:
    """Check that the delay is the number of minutes between the two local times."""

    def fits(table: pd.DataFrame) -> pd.Series:
        off = (_minutes(table[actual]) - _minutes(table[scheduled]) - table[delay]) % 1440
        return off.isna() | off.isin([0])

    return pa.Check(fits, name=delay, error=f"are not the minutes from {scheduled} to {actual}")


def _time_hour_fits(table: pd.DataFrame) -> pd.Series:
    """With an instant an hour too early, features would contain future weather; 31 February fits no instant."""
    day = pd.to_datetime(table[["year", "month", "day"]], errors="coerce")
    shown = table["time_hour"].dt.tz_convert(NEW_YORK).dt.tz_localize(None)
    fits: pd.Series[bool] = shown == day + pd.to_timedelta(table["hour"], unit="h")
    return fits


def _scheduled_hour_fits(table: pd.DataFrame) -> pd.Series:
    fits: pd.Series[bool] = table["sched_dep_time"] == table["hour"] * 100 + table["minute"]
    return fits


def humidity_off(table: pd.DataFrame) -> pd.Series:
    """True where humid does not follow from temp and dewp (Magnus formula, Alduchov and Eskridge 1996)."""
    celsius = [(table[name] - 32) / 1.8 for name in ("dewp", "temp")]
    dew, air = (np.exp(17.625 * c / (243.04 + c)) for c in celsius)
    off: pd.Series[bool] = (100 * dew / air - table["humid"]).abs() > 8
    return off


def _humidity_fits(table: pd.DataFrame) -> pd.Series:
    off = humidity_off(table)
    return ~off | (off.mean() < 0.01)  # 0.2% of the published hours; most hours of a month with another unit


def _speed_is_an_airliners(table: pd.DataFrame) -> pd.Series:
    speed = table["distance"] / table["air_time"] * 60  # mph over the ground
    return speed.between(60, 750) | speed.isna()


def whole_knots(column: str) -> pa.Check:
    """Check that the speed in mph is a whole number of knots, as instruments report it: all 26,110 published are."""

    def fits(table: pd.DataFrame) -> pd.Series:
        knots = table[column] / MPH_PER_KNOT
        off = (knots - knots.round()).abs() > 0.01
        return ~off | (off.mean() < 0.001)

    return pa.Check(fits, name=column, error="are no whole knots: in mph?")


TIME_HOUR = pa.Check(
    _time_hour_fits, name="time_hour", error="are not the row's year, month, day and hour in New York, given in UTC"
)
SCHEDULED_HOUR = pa.Check(_scheduled_hour_fits, name="sched_dep_time", error="are not the row's hour and minute")
HUMIDITY = pa.Check(_humidity_fits, name="temp", error="do not fit dewp and humid (all in °F?)")
SPEED = pa.Check(
    _speed_is_an_airliners, name="air_time", error="that give, with distance, a speed outside [60, 750] mph"
)
