"""Faults of data feeds, injected into a replay: each in three sizes, pure, and the same for the same seed.

`inject_fault` changes flights as they are requested, `inject_label_fault` labels as they are sent. Whether a fault
affects a flight depends on its id and the seed alone, so a year at once and an hour at a time give equal results. The
service accepts all of it: only monitors can find it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shared.data.schema import ORIGINS, RECENT_DELAYS, WEATHER
from shared.errors import UserError

Change = Callable[[pd.DataFrame, int, int], pd.DataFrame]  # (table, size, seed) -> the table with the fault
PARTS = ("a fifth of the flights", "one airport", "everywhere")
DELAYS = tuple(name for name, column in RECENT_DELAYS.items() if column.metadata["unit"] == "minutes")
SMALL, BIG = ("VX", "FL", "WN"), ("UA", "B6", "DL")  # carriers; the seed chooses one
OTHER_CODES = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", "BCDEFGHIJKLMNOPQRSTUVWXYZA1234567890")


@dataclass(frozen=True)
class Fault:
    """A fault. what: in an operator's words. targets: monitors or targets; an alert that names one leads to the fault.

    sizes: in words, of 1, 2 and 3.
    """

    name: str
    what: str
    targets: tuple[str, ...]
    apply_to_flights: Change | None = None
    apply_to_labels: Change | None = None
    sizes: tuple[str, str, str] = PARTS


def inject_fault(flights: pd.DataFrame, fault: str, size: int, seed: int = 0) -> pd.DataFrame:
    """Flights as requested (columns REQUEST_COLUMNS, and others, which stay as they are), with the fault in them."""
    change = find_fault(fault, size).apply_to_flights
    return change(flights, size, seed) if change and len(flights) else flights


def inject_label_fault(labels: pd.DataFrame, fault: str, size: int, seed: int = 0) -> pd.DataFrame:
    """Labels as sent (columns LABEL_COLUMNS of `shared.data.replay`), with the fault in them."""
    change = find_fault(fault, size).apply_to_labels
    return change(labels, size, seed) if change and len(labels) else labels


def find_fault(fault: str, size: int) -> Fault:
    """The fault of this name; raises UserError where there is none, or none of this size."""
    if fault not in FAULTS or size not in (1, 2, 3):
        raise UserError(f"no fault {fault!r} of size {size}. Remedy: one of {', '.join(FAULTS)}; size 1, 2 or 3.")
    return FAULTS[fault]


def _random(table: pd.DataFrame, seed: int) -> NDArray[np.float64]:
    """A number in [0, 1) for each flight, from its id."""
    return pd.util.hash_array(table["flight_id"].to_numpy(object), hash_key=f"{seed:016d}") / 2.0**64


def _origin(table: pd.DataFrame) -> pd.Series:
    return table["flight_id"].str[-3:]  # labels have no column for it


def _affected(table: pd.DataFrame, size: int, seed: int) -> NDArray[np.bool_]:
    """The rows that a fault of this size changes (PARTS)."""
    if size == 1:
        return _random(table, seed) < 0.2
    return (_origin(table) == ORIGINS[seed % 3]).to_numpy() if size == 2 else np.ones(len(table), bool)


def _changed(columns: tuple[str, ...], change: Callable[[pd.Series], object]) -> Change:
    """A fault that changes these columns in the affected rows."""

    def apply(table: pd.DataFrame, size: int, seed: int) -> pd.DataFrame:
        rows = _affected(table, size, seed)
        return table.assign(**{name: table[name].mask(rows, change(table[name])) for name in columns})

    return apply


def _dropped(table: pd.DataFrame, size: int, seed: int) -> pd.DataFrame:
    return table[~_affected(table, size, seed)]


def _lost(flights: pd.DataFrame, size: int, seed: int) -> pd.DataFrame:
    return flights[_random(flights, seed) >= 0.9] if size == 3 else _dropped(flights, size, seed)


def _stuck(flights: pd.DataFrame, size: int, seed: int) -> pd.DataFrame:
    """Each column repeats one value for each airport, from the range of a normal day."""
    rows, origin = _affected(flights, size, seed), _origin(flights)
    last = np.random.default_rng(seed).uniform(0, 20, (len(RECENT_DELAYS), len(ORIGINS))).round()
    stale = {name: origin.map(dict(zip(ORIGINS, last[i], strict=True))) for i, name in enumerate(RECENT_DELAYS)}
    return flights.assign(**{name: flights[name].mask(rows, value) for name, value in stale.items()})


def _renamed(table: pd.DataFrame, size: int, seed: int) -> pd.DataFrame:
    """Flights or labels whose carrier has another code, in their id too; labels of flights under way find none."""
    one, known = (SMALL, BIG)[min(size, 2) - 1][seed % 3], table["flight_id"]
    carrier = known.str[11:13]
    new = carrier.mask((carrier == one) | (size == 3), carrier.str.translate(OTHER_CODES))
    renamed = table.assign(flight_id=known.str[:11] + new + known.str[13:])
    return renamed.assign(carrier=new) if "carrier" in table else renamed


def _to_utc(times: pd.Series) -> pd.Series:
    """New York's clock, taken for UTC."""
    return times.dt.tz_convert("America/New_York").dt.tz_localize(None).dt.tz_localize("UTC").astype(times.dtype)


def _half_become(late: float) -> Change:
    """A fault that changes the label of half of the flights of a carrier, of an airport, or of all."""

    def apply(labels: pd.DataFrame, size: int, seed: int) -> pd.DataFrame:
        group = labels["flight_id"].str[11:13] == BIG[seed % 3] if size == 1 else _affected(labels, size, seed)
        half = np.asarray(group) & (_random(labels, seed) < 0.5)
        return labels.assign(late=labels["late"].mask(half, late))

    return apply


_TEMPERATURES, _WINDS = ("temp", "dewp"), ("wind_speed", "wind_gust")
_TIMES = ("scheduled_departure", "scheduled_arrival")
_LABELS, _QUALITY = ("labels", "late"), ("calibration", "calibration_slope", "skill")
_CARRIERS = ("a small carrier", "a big carrier", "every carrier")
_LOST = ("a fifth of the flights", "one airport", "nine flights of ten")
_STRIKE = ("half of a carrier's", "half of an airport's", "half of all")
_ALL = (
    Fault("celsius", "temperatures in °C", _TEMPERATURES, _changed(_TEMPERATURES, lambda f: (f - 32) / 1.8)),
    Fault(
        "no weather", "the weather feed is missing", tuple(WEATHER), _changed(tuple(WEATHER), lambda _: float("nan"))
    ),
    Fault("km/h", "wind in km/h", _WINDS, _changed(_WINDS, lambda mph: mph * 1.609344)),
    Fault("hours", "recent delays in hours", DELAYS, _changed(DELAYS, lambda minutes: minutes / 60)),
    Fault("stuck", "recent delays are stuck", tuple(RECENT_DELAYS), _stuck),
    Fault("new codes", "carriers under new codes", ("carrier",), _renamed, _renamed, sizes=_CARRIERS),
    Fault("lost flights", "flights no longer arrive", ("volume", "origin", *ORIGINS), _lost, sizes=_LOST),
    Fault("time zone", "local times sent as UTC", (*_TIMES, "minute_of_day", "weekday"), _changed(_TIMES, _to_utc)),
    Fault("labels stop", "labels no longer arrive", _LABELS, apply_to_labels=_dropped),
    Fault(
        "labels late",
        "labels arrive three days late",
        _LABELS,
        apply_to_labels=_changed(("label_known_at",), lambda at: at + pd.Timedelta(days=3)),
    ),
    Fault("labels flipped", "labels are inverted", _LABELS, apply_to_labels=_changed(("late",), lambda late: 1 - late)),
    Fault("strike", "flights are later than before", _QUALITY, apply_to_labels=_half_become(1.0), sizes=_STRIKE),
    Fault("calm", "flights are less late than before", _QUALITY, apply_to_labels=_half_become(0.0), sizes=_STRIKE),
)
FAULTS = {fault.name: fault for fault in _ALL}
