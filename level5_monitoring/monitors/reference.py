"""The reference: a sample of the history, and the thresholds that its days and weeks give for each monitor of data."""

from dataclasses import fields, replace
from pathlib import Path

import pandas as pd
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from level5_monitoring.monitors.distances import COLUMNS, distances_by_column
from level5_monitoring.monitors.window import CODES, NUMBERS, TIMES, WEEK, as_window
from shared.errors import UserError
from shared.files import read_json, read_parquet, write_json, write_parquet

SAMPLE = 5_000  # flights that drift is measured against; above 1,000, Evidently measures distances by default
FILE, LIMITS = "reference.parquet", "reference.json"
REMEDY = "make level5"
SPREAD_FACTOR = 3.0  # by which a spread, or a number of values, may exceed every day of the history
# Instruments report these in steps: tens of degrees, whole knots (here in mph), fractions of a mile.
STEPS = ("wind_dir", "wind_speed", "wind_gust", "visib")
DIGITS = 6  # to which a value must equal its step
MIN_AIRPORT = 30  # flights of a usual day: a smaller airport may lose half of them by chance
MISSING_MARGIN = 0.25  # by which a share missing may exceed every day of the history
DRIFT_MARGIN = 1.25  # times the largest distance of a week of the history


@dataclass(frozen=True, config=ConfigDict(extra="forbid", arbitrary_types_allowed=True))
class Reference:
    """A sample of the history, and limits found from its days.

    missing: by column, the largest share that a day may miss. spread: by column, the lowest and highest standard
    deviation of a day. distinct: by column, the fewest different values of a day. steps: by column of STEPS, the values
    that occurred. codes: by column, the values that occurred. flights: by airport, those of a usual day. drift: by
    column, the largest distance of a week from the sample.
    """

    sample: pd.DataFrame
    missing: dict[str, float]
    spread: dict[str, tuple[float, float]]
    distinct: dict[str, float]
    steps: dict[str, list[float]]
    codes: dict[str, list[str]]
    flights: dict[str, float]
    drift: dict[str, float]

    def with_code(self, name: str, code: str) -> "Reference":
        """With one more code that is normal in a column."""
        return replace(self, codes=self.codes | {name: sorted({*self.codes[name], code})})

    def learnt_anew(self, name: str, window: pd.DataFrame) -> "Reference":
        """With the sample of a column of codes from newer days, whose window this is.

        Its threshold may rise, but does not fall: a few weeks differ less than those of the whole history.
        """
        drawn = window.sample(len(self.sample), replace=True, random_state=0)
        sample = self.sample.assign(**{name: drawn[name].to_numpy()})
        threshold = max(self.drift[name], _drift_thresholds(window, sample)[name])
        return replace(self, sample=sample, drift=self.drift | {name: threshold})

    def save(self, folder: Path) -> None:
        """Write it to a folder. The sample comes last: where it exists, the reference is complete."""
        limits = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "sample"}
        write_json(folder / LIMITS, limits)
        write_parquet(self.sample, folder / FILE)


def load_reference(folder: Path) -> Reference:
    """Read what `save` has written; raises UserError where it is missing, StateError where it is garbled."""
    if not (folder / FILE).exists():
        raise UserError(f"there is no reference of normal days yet: no {folder / FILE}. Remedy: {REMEDY}.")
    sample = read_parquet(folder / FILE, REMEDY)
    return read_json(folder / LIMITS, lambda **limits: Reference(sample, **limits), REMEDY)


def build_reference(known: pd.DataFrame) -> Reference:
    """The reference of the labelled flights of the history (the year's table, cut at today)."""
    window = as_window(known, 0.5)
    days = window.groupby("day")
    numbers = days[NUMBERS]
    spread, distinct = numbers.std(), numbers.nunique()
    missing = 1 - numbers.count().div(days.size(), axis=0)
    low, high = spread.min() / SPREAD_FACTOR, spread.max() * SPREAD_FACTOR
    usual = window.groupby("origin").size() / days.ngroups
    sample = window.sample(min(SAMPLE, len(window)), random_state=0)[[*NUMBERS, *CODES, *TIMES]]
    return Reference(
        sample=sample.reset_index(drop=True),
        missing={name: float(min(1.0, missing[name].max() + MISSING_MARGIN)) for name in NUMBERS},
        spread={name: (float(low[name]), float(high[name])) for name in NUMBERS},
        distinct={name: float(distinct[name].min() / SPREAD_FACTOR) for name in NUMBERS},
        steps={name: sorted(window[name].dropna().round(DIGITS).unique().tolist()) for name in STEPS},
        codes={name: sorted(window[name].unique()) for name in CODES},
        flights={str(name): float(count) for name, count in usual[usual >= MIN_AIRPORT].items()},
        drift=_drift_thresholds(window, sample),
    )


def _drift_thresholds(history: pd.DataFrame, sample: pd.DataFrame) -> dict[str, float]:
    """By column, DRIFT_MARGIN times the largest distance of a week of the history from the sample.

    Whole weeks, because neighbouring days share their weather: weeks of days drawn at random would differ far less.
    """
    days = sorted(history["day"].unique())
    weeks = [days[start : start + WEEK] for start in range(0, len(days) - WEEK + 1, WEEK)]
    found = pd.DataFrame([distances_by_column(history[history["day"].isin(week)], sample) for week in weeks])
    return {name: float(found[name].max() * DRIFT_MARGIN) for name in COLUMNS}
