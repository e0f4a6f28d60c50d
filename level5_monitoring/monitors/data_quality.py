"""The data contract of a day, checked first: a violation is a fault of a feed, whatever model predicts.

Monitor `contract` has a result for each column, monitor `volume` one for each airport: do its flights still arrive?
"""

from typing import Any

import numpy as np
import pandas as pd

from level5_monitoring.monitors.monitor_result import MonitorResult, above, below, insufficient
from level5_monitoring.monitors.reference import DIGITS, Reference
from level5_monitoring.monitors.window import CODES, NUMBERS
from shared.data.consistency_checks import humidity_off
from shared.settings import NEW_YORK

MIN_FLIGHTS = 100  # of a day: below that, shares vary too much by chance
UNKNOWN = 0.02  # largest share of a day's flights with a code that the history does not have
BEFORE_5_AM = 0.05  # largest share of a day's flights that are scheduled before 5 a.m.
HALF = 0.5  # of an airport's usual flights
OFF_STEP = 0.05  # largest share of a day's values between the steps of the instrument that reports them
CONTRADICTING = 0.1  # largest share of flights whose temperature, dew point and humidity contradict each other


def check_contract(window: pd.DataFrame, reference: Reference, day: str) -> list[MonitorResult]:
    """A result for the flights of each airport, and for each column."""
    results = [_volume(day, airport, window, usual) for airport, usual in reference.flights.items()]
    if len(window) < MIN_FLIGHTS:
        message = f"{len(window)} flights; {MIN_FLIGHTS} are needed"
        about = {"day": day, "monitor": "contract", "message": message, "rows": len(window)}
        return results + [insufficient(target=name, **about) for name in (*NUMBERS, *CODES, "scheduled_departure")]
    contradicting = float(humidity_off(window).mean())
    results += [_number(day, name, window, reference, contradicting) for name in NUMBERS]
    results += [_code(day, name, window, reference) for name in CODES]
    return [*results, _departure_times(day, window)]


def _volume(day: str, airport: str, window: pd.DataFrame, usual: float) -> MonitorResult:
    count = int((window["origin"] == airport).sum())
    message = f"{count} flights of {airport} on this day; {usual:.0f} are usual"
    half, rows = usual * HALF, len(window)
    return below(half, float(count), day=day, monitor="volume", target=airport, message=message, rows=rows)


def _number(day: str, name: str, window: pd.DataFrame, reference: Reference, contradicting: float) -> MonitorResult:
    """The check of a column that is nearest to an alarm: of missing values, contradictions, and the values."""
    values = window[name].replace([np.inf, -np.inf], np.nan).dropna()
    about = {"day": day, "monitor": "contract", "target": name, "rows": len(window)}
    most, missing = reference.missing[name], 1 - len(values) / len(window)
    checks = [
        above(most, missing, message=f"{missing:.0%} of {name} is missing; at most {most:.0%} is normal", **about)
    ]
    if name in ("temp", "dewp"):
        message = f"{contradicting:.0%} of {name} contradicts the humidity: is it in °F?"
        checks.append(above(CONTRADICTING, contradicting, message=message, **about))
    if len(values) >= MIN_FLIGHTS:
        checks += _checks_of_values(values, reference, about)
    worst = max(checks, key=lambda check: check.alarm_ratio)
    if worst.state == "ok" and len(values) < MIN_FLIGHTS:
        return insufficient(message=f"{len(values)} values of {name}", **about)
    return worst


def _checks_of_values(values: pd.Series, reference: Reference, about: dict[str, Any]) -> list[MonitorResult]:
    """Constant values, other units, or a spread that no day of the history had."""
    name, spread = about["target"], float(values.std())
    different, fewest, (low, high) = values.nunique(), reference.distinct[name], reference.spread[name]
    constant = f"{name} has {different} different values; at least {fewest:.0f} are normal: is the feed stuck?"
    wide = f"the standard deviation of {name} is {spread:.3g}; {low:.3g} to {high:.3g} is normal"
    checks = [
        below(fewest, float(different), message=constant, **about),
        above(high, spread, message=wide, **about),
        below(low, spread, message=wide, **about),
    ]
    if name in reference.steps:
        off = float((~values.round(DIGITS).isin(reference.steps[name])).mean())
        message = f"{off:.0%} of {name} lie between its instrument's steps ({OFF_STEP:.0%} is normal): other units?"
        checks.append(above(OFF_STEP, off, message=message, **about))
    return checks


def _code(day: str, name: str, window: pd.DataFrame, reference: Reference) -> MonitorResult:
    unknown = float((~window[name].isin(reference.codes[name])).mean())
    message = f"{unknown:.1%} of flights have a {name} that the history does not have; {UNKNOWN:.0%} is normal"
    return above(UNKNOWN, unknown, day=day, monitor="contract", target=name, message=message, rows=len(window))


def _departure_times(day: str, window: pd.DataFrame) -> MonitorResult:
    early = float((window["scheduled_departure"].dt.tz_convert(NEW_YORK).dt.hour < 5).mean())
    message = f"scheduled_departure: {early:.1%} are before 5 a.m. in New York; {BEFORE_5_AM:.0%} is normal"
    about = {"day": day, "target": "scheduled_departure", "message": message, "rows": len(window)}
    return above(BEFORE_5_AM, early, monitor="contract", **about)
