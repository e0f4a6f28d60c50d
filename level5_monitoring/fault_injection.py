"""What goes wrong with feeds, as they deliver it: each fault in three sizes, pure, the same for the same seed.

`spoil` changes flights as they are asked for, `spoil_outcomes` how they ended as it is told. What a flight meets hangs
on its id and the seed alone: a year at once and an hour at a time are spoilt alike. The service accepts all of it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shared.data.schema import ORIGINS, RECENT_DELAYS, WEATHER
from shared.errors import UserError

Mask = NDArray[np.bool_]
Change = Callable[[pd.DataFrame, int, int], pd.DataFrame]  # a table, the size, the seed -> the table spoilt
PARTS = ("a fifth of the flights", "one airport", "everywhere")
DELAYS = [name for name, column in RECENT_DELAYS.items() if column.metadata["unit"] == "minutes"]
SMALL, BIG = ("VX", "FL", "WN"), ("UA", "B6", "DL")  # carriers; which one, the seed says
OTHER_CODES = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", "BCDEFGHIJKLMNOPQRSTUVWXYZA1234567890")
LATE_BY = pd.Timedelta(days=3)  # of labels that come late


@dataclass(frozen=True)
class Fault:
    """A fault. what: as an operator would call it. sizes: of 1, 2 and 3. subjects: an alert names one of these.

    subjects: columns, or feeds and other things that monitors name.
    """

    name: str
    what: str
    targets: tuple[str, ...]
    apply_to_flights: Change | None = None
    apply_to_outcomes: Change | None = None
    sizes: tuple[str, str, str] = PARTS


class FaultError(UserError):
    """A fault or a size that there is not."""


def inject_fault(flights: pd.DataFrame, fault: str, size: int, seed: int = 0) -> pd.DataFrame:
    """Flights as asked for (`shared.data.replay.ASKED`, more columns stay as they are), with the fault in them."""
    change = _find(fault, size).apply_to_flights
    return change(flights, size, seed) if change and len(flights) else flights


def inject_label_fault(labels: pd.DataFrame, fault: str, size: int, seed: int = 0) -> pd.DataFrame:
    """Outcomes as told (`shared.data.replay.TOLD`), with the fault in them."""
    change = _find(fault, size).apply_to_outcomes
    return change(labels, size, seed) if change and len(labels) else labels


def _find(fault: str, size: int) -> Fault:
    if fault not in FAULTS or size not in (1, 2, 3):
        raise FaultError(f"no fault {fault!r} of size {size}. Remedy: one of {', '.join(FAULTS)}; size 1, 2 or 3.")
    return FAULTS[fault]


def _chance(table: pd.DataFrame, seed: int) -> NDArray[np.float64]:
    """A number in [0, 1) for each flight, from its id."""
    return pd.util.hash_array(table["flight_id"].to_numpy(object), hash_key=f"{seed:016d}") / 2.0**64


def _origin(table: pd.DataFrame) -> pd.Series:
    return table["flight_id"].str[-3:]  # outcomes have no other word of it


def _carrier(table: pd.DataFrame) -> pd.Series:
    return table["flight_id"].str[11:13]


def _part(table: pd.DataFrame, size: int, seed: int) -> Mask:
    """The rows that a fault of this size meets (PARTS)."""
    if size == 1:
        return _chance(table, seed) < 0.2
    return (_origin(table) == ORIGINS[seed % 3]).to_numpy() if size == 2 else np.ones(len(table), bool)


def _changed(columns: list[str], change: Callable[[pd.Series], object]) -> Change:
    """A fault that changes these columns, of the rows that it meets."""

    def apply(table: pd.DataFrame, size: int, seed: int) -> pd.DataFrame:
        rows = _part(table, size, seed)
        return table.assign(**{name: table[name].mask(rows, change(table[name])) for name in columns})

    return apply


def _dropped(table: pd.DataFrame, size: int, seed: int) -> pd.DataFrame:
    return table[~_part(table, size, seed)]


def _fewer(flights: pd.DataFrame, size: int, seed: int) -> pd.DataFrame:
    return flights[_chance(flights, seed) >= 0.9] if size == 3 else _dropped(flights, size, seed)


def _stuck(flights: pd.DataFrame, size: int, seed: int) -> pd.DataFrame:
    """Every column says what it last said at its airport, within what a day may bring."""
    rows, origin = _part(flights, size, seed), _origin(flights)
    last = np.random.default_rng(seed).uniform(0, 20, (len(RECENT_DELAYS), len(ORIGINS))).round()
    stale = {name: origin.map(dict(zip(ORIGINS, last[i], strict=True))) for i, name in enumerate(RECENT_DELAYS)}
    return flights.assign(**{name: flights[name].mask(rows, value) for name, value in stale.items()})


def _renamed(flights: pd.DataFrame, size: int, seed: int) -> pd.DataFrame:
    one = (SMALL, BIG)[min(size, 2) - 1][seed % 3]
    rows = (flights["carrier"] == one) | (size == 3)
    return flights.assign(carrier=flights["carrier"].mask(rows, flights["carrier"].str.translate(OTHER_CODES)))


def _to_utc(times: pd.Series) -> pd.Series:
    """New York's clock, taken for UTC."""
    return times.dt.tz_convert("America/New_York").dt.tz_localize(None).dt.tz_localize("UTC").astype(times.dtype)


def _later(labels: pd.DataFrame, size: int, seed: int) -> pd.DataFrame:
    """Flights that would have been on time are late: half of a carrier's, of an airport's, of all."""
    struck = _carrier(labels) == BIG[seed % 3] if size == 1 else _part(labels, size, seed)
    rows = struck & (_chance(labels, seed) < 0.5)
    return labels.assign(late=labels["late"].mask(rows, 1.0))


_LABELS = ("labels", "late")
FAULTS = {
    fault.name: fault
    for fault in (
        Fault("celsius", "temperatures in °C", ("temp", "dewp"), _changed(["temp", "dewp"], lambda f: (f - 32) / 1.8)),
        Fault(
            "no weather", "the weather feed is missing", tuple(WEATHER), _changed([*WEATHER], lambda _: float("nan"))
        ),
        Fault(
            "km/h",
            "wind in km/h",
            ("wind_speed", "wind_gust"),
            _changed(["wind_speed", "wind_gust"], lambda mph: mph * 1.609344),
        ),
        Fault("hours", "recent delays in hours", tuple(DELAYS), _changed(DELAYS, lambda minutes: minutes / 60)),
        Fault("stuck", "recent delays stand still", (*RECENT_DELAYS, "recent delays"), _stuck),
        Fault(
            "new codes",
            "carriers under new codes",
            ("carrier",),
            _renamed,
            sizes=("a small carrier", "a big carrier", "every carrier"),
        ),
        Fault(
            "lost flights",
            "flights no longer arrive",
            ("flights", "volume", "rows", "origin", *ORIGINS),
            _fewer,
            sizes=("a fifth of the flights", "one airport", "nine flights of ten"),
        ),
        Fault(
            "time zone",
            "local times sent as UTC",
            ("scheduled_departure", "scheduled_arrival", "minute_of_day", "weekday"),
            _changed(["scheduled_departure", "scheduled_arrival"], _to_utc),
        ),
        Fault("labels stop", "outcomes no longer arrive", _LABELS, apply_to_outcomes=_dropped),
        Fault(
            "labels late",
            "outcomes come three days late",
            _LABELS,
            apply_to_outcomes=_changed(["label_known_at"], lambda at: at + LATE_BY),
        ),
        Fault(
            "labels flipped",
            "outcomes say the opposite",
            _LABELS,
            apply_to_outcomes=_changed(["late"], lambda late: 1 - late),
        ),
        Fault(
            "strike",
            "flights are later than they were",
            ("performance",),
            apply_to_outcomes=_later,
            sizes=("half of a carrier's", "half of an airport's", "half of all"),
        ),
    )
}
