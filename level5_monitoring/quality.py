"""The data contract of a live day, looked at first: what breaks it is a fault of a feed, whatever model answers."""

import numpy as np
import pandas as pd

from level5_monitoring.finding import Finding, State
from level5_monitoring.reference import DIGITS, Reference
from level5_monitoring.window import CODES, NUMBERS
from shared.settings import NEW_YORK
from shared.ties import humidity_off

FEWEST = 100  # flights of a day, for shares to say anything
UNKNOWN = 0.02  # the most of a day's flights that may have a code the history has not
NIGHT = 0.05  # the most of a day's flights that may be scheduled before 5 in the morning
HALF = 0.5  # of an airport's usual flights
OFF = 0.05  # the most of a day's values that may lie on no step of the instrument that reports them
MISFIT = 0.1  # the most of a day's flights whose temperature, dew point and humidity contradict each other


def check_contract(window: pd.DataFrame, reference: Reference, day: str = "") -> list[Finding]:
    """A finding for each column, and for the flights of each airport (monitor `features`: do they still arrive?)."""
    day = day or (str(window["day"].iloc[0]) if len(window) else "")
    found = [_arrive(day, airport, window, usual) for airport, usual in reference.flights.items()]
    if len(window) < FEWEST:
        says, rows = f"{len(window)} flights; {FEWEST} are needed", len(window)
        columns = [*NUMBERS, *CODES, "scheduled_departure"]
        return found + [Finding(day, "contract", name, "insufficient data", says, rows) for name in columns]
    misfit = float(humidity_off(window).mean())
    found += [_number(day, name, window, reference, misfit) for name in NUMBERS]
    found += [_code(day, name, window, reference) for name in CODES]
    return [*found, _clock(day, window)]


def _arrive(day: str, airport: str, window: pd.DataFrame, usual: float) -> Finding:
    count = int((window["origin"] == airport).sum())
    says = f"{count} flights of {airport} on this day, of usually {usual:.0f}"
    state: State = "alarm" if count < usual * HALF else "ok"
    return Finding(day, "features", airport, state, says, len(window), float(count), usual * HALF)


def _number(day: str, name: str, window: pd.DataFrame, reference: Reference, misfit: float) -> Finding:
    """Missing more than ever, contradicting its neighbours, in other units, standing still, or spread as on no day."""
    values = window[name].replace([np.inf, -np.inf], np.nan).dropna()
    rows, missing, most = len(window), 1 - len(values) / len(window), reference.missing[name]
    if missing > most:
        says = f"{missing:.0%} of {name} is missing; at most {most:.0%} is normal"
        return Finding(day, "contract", name, "alarm", says, rows, missing, most)
    if name in ("temp", "dewp") and misfit > MISFIT:
        says = f"{misfit:.0%} of {name} contradicts the humidity (all in °F?)"
        return Finding(day, "contract", name, "alarm", says, rows, misfit, MISFIT)
    if len(values) < FEWEST:
        return Finding(day, "contract", name, "insufficient data", f"{len(values)} values of {name}", rows)
    off = float((~values.round(DIGITS).isin(reference.steps[name])).mean()) if name in reference.steps else 0.0
    if off > OFF:
        says = f"{off:.0%} of {name} lie on no step that its instrument reports ({OFF:.0%} is normal): other units?"
        return Finding(day, "contract", name, "alarm", says, rows, off, OFF)
    different, fewest = values.nunique(), reference.distinct[name]
    if different < fewest:
        says = f"{name} has {different} different values; at least {fewest:.0f} are normal: does it stand still?"
        return Finding(day, "contract", name, "alarm", says, rows, float(different), fewest)
    low, high = reference.spread[name]
    spread = float(values.std())
    says = f"the values of {name} spread by {spread:.3g}; {low:.3g} to {high:.3g} is normal"
    state: State = "ok" if low <= spread <= high else "alarm"
    return Finding(day, "contract", name, state, says, rows, spread, high if spread > high else low)


def _code(day: str, name: str, window: pd.DataFrame, reference: Reference) -> Finding:
    unknown = float((~window[name].isin(reference.codes[name])).mean())
    says = f"{unknown:.1%} of flights have a {name} that the history has not; {UNKNOWN:.0%} is normal"
    state: State = "alarm" if unknown > UNKNOWN else "ok"
    return Finding(day, "contract", name, state, says, len(window), unknown, UNKNOWN)


def _clock(day: str, window: pd.DataFrame) -> Finding:
    night = float((window["scheduled_departure"].dt.tz_convert(NEW_YORK).dt.hour < 5).mean())
    says = f"scheduled_departure: {night:.1%} are before 5 a.m. in New York; {NIGHT:.0%} is normal"
    state: State = "alarm" if night > NIGHT else "ok"
    return Finding(day, "contract", "scheduled_departure", state, says, len(window), night, NIGHT)
