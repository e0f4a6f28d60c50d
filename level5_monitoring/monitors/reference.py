"""What normal days look like: learnt once from the history, whose days nobody complained of."""

import json
from dataclasses import dataclass, fields
from pathlib import Path

import pandas as pd

from level5_monitoring.monitors import drift
from level5_monitoring.monitors.window import CODES, NUMBERS, TIMES, as_window
from shared.data.flights import write_whole
from shared.errors import UserError
from shared.files import write_json

SAMPLE = 5_000  # flights to measure drift against; above 1,000, Evidently measures distances
FILE, LIMITS = "reference.parquet", "reference.json"
TIMES_OUT = 3.0  # how many times beyond what any day of history had a spread, or a number of values, may lie
# Instruments report these in steps: tens of degrees, whole knots (here in mph), fractions of a mile.
STEPS = ("wind_dir", "wind_speed", "wind_gust", "visib")
DIGITS = 6  # that a step is told by
OF_AIRPORT = 30  # flights of a usual day: half of fewer is chance
ROOM = 0.25  # by which a share missing may exceed what any day of history had


@dataclass(frozen=True)
class Reference:
    """A sample of the history, and limits found from its days.

    missing: of each column, the highest share a day may miss. spread: the lowest and highest standard deviation of a
    day. distinct: the fewest different values of a day. steps: of each of STEPS, the values there have been.
    codes: the known ones. flights: a usual day's, by airport that has OF_AIRPORT. drift: by column, the distance of a
    week from the sample that is rarely exceeded.
    """

    sample: pd.DataFrame
    missing: dict[str, float]
    spread: dict[str, tuple[float, float]]
    distinct: dict[str, float]
    steps: dict[str, list[float]]
    codes: dict[str, list[str]]
    flights: dict[str, float]
    drift: dict[str, float]

    def save(self, folder: Path) -> None:
        """Keep it in a folder; the sample last, which tells that all of it is there."""
        limits = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "sample"}
        write_json(folder / LIMITS, limits)
        write_whole(self.sample, folder / FILE)


def load_reference(folder: Path) -> Reference:
    """Read what `save` has kept; raises UserError where nothing is."""
    if not (folder / FILE).exists():
        raise UserError(f"nobody has learnt yet what normal days look like: no {folder / FILE}. Remedy: make level5.")
    return Reference(pd.read_parquet(folder / FILE), **json.loads((folder / LIMITS).read_text()))


def build_reference(known: pd.DataFrame) -> Reference:
    """Learn from the labelled flights of the history (the year's table, cut at today)."""
    window = as_window(known, 0.5)
    days = window.groupby("day")
    numbers = days[NUMBERS]
    spread, distinct = numbers.std(), numbers.nunique()
    missing = 1 - numbers.count().div(days.size(), axis=0)
    low, high = spread.min() / TIMES_OUT, spread.max() * TIMES_OUT
    usual = window.groupby("origin").size() / days.ngroups
    sample = window.sample(min(SAMPLE, len(window)), random_state=0)[[*NUMBERS, *CODES, *TIMES]]
    return Reference(
        sample=sample.reset_index(drop=True),
        missing={name: float(min(1.0, missing[name].max() + ROOM)) for name in NUMBERS},
        spread={name: (float(low[name]), float(high[name])) for name in NUMBERS},
        distinct={name: float(distinct[name].min() / TIMES_OUT) for name in NUMBERS},
        steps={name: sorted(window[name].dropna().round(DIGITS).unique().tolist()) for name in STEPS},
        codes={name: sorted(window[name].unique()) for name in CODES},
        flights={str(name): float(count) for name, count in usual[usual >= OF_AIRPORT].items()},
        drift=drift.calibrate(sample, window),
    )
