"""The data contract of a live day, looked at first: what breaks it is a fault of a feed, whatever model answers."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from level5_monitoring.monitors.monitor_result import MonitorResult, State
from level5_monitoring.monitors.reference import DIGITS, Reference
from level5_monitoring.monitors.window import CODES, NUMBERS
from shared.data.consistency_checks import humidity_off
from shared.settings import NEW_YORK

FEWEST = 100  # flights of a day, for shares to say anything
UNKNOWN = 0.02  # the most of a day's flights that may have a code the history has not
NIGHT = 0.05  # the most of a day's flights that may be scheduled before 5 in the morning
HALF = 0.5  # of an airport's usual flights
OFF = 0.05  # the most of a day's values that may lie on no step of the instrument that reports them
MISFIT = 0.1  # the most of a day's flights whose temperature, dew point and humidity contradict each other


def check_contract(window: pd.DataFrame, reference: Reference, day: str = "") -> list[MonitorResult]:
    """A finding for each column, and for the flights of each airport (monitor `features`: do they still arrive?)."""
    day = day or (str(window["day"].iloc[0]) if len(window) else "")
    found = [_arrive(day, airport, window, usual) for airport, usual in reference.flights.items()]
    if len(window) < FEWEST:
        message, rows = f"{len(window)} flights; {FEWEST} are needed", len(window)
        columns = [*NUMBERS, *CODES, "scheduled_departure"]
        return found + [MonitorResult(day, "contract", name, "insufficient data", message, rows) for name in columns]
    misfit = float(humidity_off(window).mean())
    found += [_number(day, name, window, reference, misfit) for name in NUMBERS]
    found += [_code(day, name, window, reference) for name in CODES]
    return [*found, _clock(day, window)]


def _arrive(day: str, airport: str, window: pd.DataFrame, usual: float) -> MonitorResult:
    count = int((window["origin"] == airport).sum())
    message = f"{count} flights of {airport} on this day, of usually {usual:.0f}"
    state: State = "alarm" if count < usual * HALF else "ok"
    return MonitorResult(day, "volume", airport, state, message, len(window), float(count), usual * HALF)


def _number(day: str, name: str, window: pd.DataFrame, reference: Reference, misfit: float) -> MonitorResult:
    """Missing more than ever, contradicting its neighbours, in other units, standing still, or spread as on no day.

    The finding is of what comes nearest to its limit, or goes farthest beyond it.
    """
    values = window[name].replace([np.inf, -np.inf], np.nan).dropna()
    rows, most = len(window), reference.missing[name]
    missing = 1 - len(values) / rows
    found = [_over(missing, most, f"{missing:.0%} of {name} is missing; at most {most:.0%} is normal")]
    if name in ("temp", "dewp"):
        found.append(_over(misfit, MISFIT, f"{misfit:.0%} of {name} contradicts the humidity: is it in °F?"))
    if len(values) >= FEWEST:
        found += _values(name, values, reference)
    worst = max(found, key=lambda one: one.ratio)
    if worst.ratio <= 1 and len(values) < FEWEST:
        return MonitorResult(day, "contract", name, "insufficient data", f"{len(values)} values of {name}", rows)
    state: State = "alarm" if worst.ratio > 1 else "ok"
    return MonitorResult(day, "contract", name, state, worst.message, rows, worst.value, worst.threshold)


class _Look(NamedTuple):
    """A figure beside its limit; ratio: above 1 it is beyond it."""

    ratio: float
    value: float
    threshold: float
    message: str


def _over(value: float, threshold: float, message: str) -> _Look:
    return _Look(_ratio(value, threshold), value, threshold, message)


def _under(value: float, threshold: float, message: str) -> _Look:
    return _Look(_ratio(threshold, value), value, threshold, message)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else np.inf if part else 0.0


def _values(name: str, values: pd.Series, reference: Reference) -> list[_Look]:
    """What the values themselves tell."""
    different, fewest, (low, high) = values.nunique(), reference.distinct[name], reference.spread[name]
    still = f"{name} has {different} different values; at least {fewest:.0f} are normal: does it stand still?"
    spread = float(values.std())
    message = f"the values of {name} spread by {spread:.3g}; {low:.3g} to {high:.3g} is normal"
    found = [_under(float(different), fewest, still), _over(spread, high, message), _under(spread, low, message)]
    if name in reference.steps:
        off = float((~values.round(DIGITS).isin(reference.steps[name])).mean())
        message = f"{off:.0%} of {name} lie on no step that its instrument reports ({OFF:.0%} is normal): other units?"
        found.append(_over(off, OFF, message))
    return found


def _code(day: str, name: str, window: pd.DataFrame, reference: Reference) -> MonitorResult:
    unknown = float((~window[name].isin(reference.codes[name])).mean())
    message = f"{unknown:.1%} of flights have a {name} that the history has not; {UNKNOWN:.0%} is normal"
    state: State = "alarm" if unknown > UNKNOWN else "ok"
    return MonitorResult(day, "contract", name, state, message, len(window), unknown, UNKNOWN)


def _clock(day: str, window: pd.DataFrame) -> MonitorResult:
    night = float((window["scheduled_departure"].dt.tz_convert(NEW_YORK).dt.hour < 5).mean())
    message = f"scheduled_departure: {night:.1%} are before 5 a.m. in New York; {NIGHT:.0%} is normal"
    state: State = "alarm" if night > NIGHT else "ok"
    return MonitorResult(day, "contract", "scheduled_departure", state, message, len(window), night, NIGHT)
