"""What other detectors report of the same flights: Evidently's drift and quality tests, PSI, a limit on weekly loss.

The distances equal Evidently's `ValueDrift`, which a test compares column by column. SciPy computes them, because an
Evidently report, which also prepares plots, takes 20 times as long, and the benchmark needs thousands.
Where Evidently would raise an error (a column without a value), that counts as its alarm. Its tests of data quality are
those that a user would write: their limits come from the history, and a test compares them with Evidently too.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from level2_devops.features import CATEGORIES, NUMBERS, features
from level2_devops.model import SEED
from level5_monitoring.monitors.distances import jensen_shannon, normed_wasserstein
from shared.score import log_losses

ROWS = 5_000  # of the reference; above 1,000 Evidently measures distances, below it tests hypotheses
DISTANCE_LIMIT = 0.1  # Evidently's default, for both distances
PSI_LIMIT = 0.2  # the rule of thumb for a shift that requires action
DRIFT_SHARE = 0.5  # Evidently's default: a data set drifts if this share of its columns does
LOSS_LIMIT = 1.1  # the week's log loss, relative to the history's
MISSING_FACTOR = 1.1  # times the largest share of a day of the history: Evidently's default tolerance of a reference
MOST_NEW, MOST_OUT = 0.02, 0.05  # share of a day's values that the history does not have, or outside of its range
FEWEST = 0.5  # of the flights of a usual day
FEW_VALUES = 20  # Evidently's PSI bins a number with more different values, and counts the values of others


class AlarmRatio(NamedTuple):
    """How near a detector is to an alarm: its value divided by its limit. An alarm is a ratio of 1 or more.

    detector: a key of `detection_metrics.METHODS`' lists. monitor, target: as of a MonitorResult.
    """

    detector: str
    monitor: str
    target: str
    ratio: float


Distance = Callable[[pd.Series, pd.Series], float]


@dataclass(frozen=True)
class QualityTests:
    """The limits of Evidently's RowCount, MissingValueCount, OutListValueCount and OutRangeValueCount, of a day.

    fewest: rows. missing: by column, the largest share. values: by column of codes, those that are known. ranges: by
    column of numbers, the smallest and the largest value.
    """

    fewest: float
    missing: dict[str, float]
    values: dict[str, list[str]]
    ranges: dict[str, tuple[float, float]]

    def check_day(self, table: pd.DataFrame) -> list[AlarmRatio]:
        """The ratio of the row count, and the largest one of each column."""
        found = [AlarmRatio("quality daily", "volume", "rows", _over(self.fewest, len(table)))]
        for name, column in table.items():
            known = column.dropna()
            ratio = _over(1 - len(known) / max(len(column), 1), self.missing[str(name)])
            if name in self.values and len(known):
                ratio = max(ratio, (1 - known.isin(self.values[name]).mean()) / MOST_NEW)
            elif len(known):
                ratio = max(ratio, (1 - known.between(*self.ranges[str(name)]).mean()) / MOST_OUT)
            found.append(AlarmRatio("quality daily", "quality", str(name), ratio))
        return found


def _over(part: float, whole: float) -> float:
    return float(part / whole) if whole else np.inf if part else 0.0


@dataclass(frozen=True)
class BaselineDetectors:
    """reference: (ROWS, n) features of the history. loss: the log loss of the history's last month, in nats."""

    reference: pd.DataFrame
    loss: float
    quality: QualityTests
    cache: dict[bytes, float] = field(default_factory=dict)  # a fault leaves most columns of a day as they were

    def check_day(self, table: pd.DataFrame) -> list[AlarmRatio]:
        """Evidently's preset, and its tests of data quality, on the features of a day's flights."""
        return self._evidently(table, "daily") + self.quality.check_day(table)

    def check_week(self, table: pd.DataFrame) -> list[AlarmRatio]:
        """The preset, and PSI, on the features of a week's flights."""
        of_psi = {str(name): self._distance(table[name], psi) / PSI_LIMIT for name in table}
        return self._evidently(table, "weekly") + [AlarmRatio("PSI", "drift", *one) for one in of_psi.items()]

    def check_labels(self, window: pd.DataFrame) -> list[AlarmRatio]:
        """The log loss of a week's flights."""
        labelled = window.dropna(subset=["late"])
        loss = log_losses(labelled["late"], labelled["probability"]).mean() if len(labelled) else np.inf
        return [AlarmRatio("loss", "performance", "model", loss / self.loss / LOSS_LIMIT)]

    def _evidently(self, table: pd.DataFrame, how_often: str) -> list[AlarmRatio]:
        """Each column, and the data set, whose ratio is that of the column in the middle (DRIFT_SHARE)."""
        ratios = {str(name): self._distance(table[name], default_distance) / DISTANCE_LIMIT for name in table}
        middle = sorted(ratios.values(), reverse=True)[int(np.ceil(DRIFT_SHARE * len(ratios))) - 1]
        columns = [AlarmRatio(f"columns {how_often}", "drift", name, ratio) for name, ratio in ratios.items()]
        return [*columns, AlarmRatio(f"data set {how_often}", "drift", "data set", middle)]

    def _distance(self, column: pd.Series, distance: Distance) -> float:
        content = pd.util.hash_array(column.to_numpy()).tobytes()
        key = hashlib.blake2b(f"{distance.__name__} {column.name}".encode() + content).digest()
        if key not in self.cache:
            current, reference = column.dropna(), self.reference[column.name].dropna()
            self.cache[key] = np.inf if current.empty else distance(current, reference)  # empty: Evidently raises
        return self.cache[key]


def default_distance(current: pd.Series, reference: pd.Series) -> float:
    """Evidently's choice for a reference of more than 1,000 values: Jensen-Shannon for codes, Wasserstein for numbers.

    (Numbers with five different values or fewer would be codes to it; no feature has so few.)
    """
    return (jensen_shannon if current.name in CATEGORIES else normed_wasserstein)(current, reference)


def psi(current: pd.Series, reference: pd.Series) -> float:
    """Population stability index: the sum of (p - q) ln(p / q) over bins, which are Evidently's, as is their floor."""
    if current.name not in CATEGORIES and reference.nunique() > FEW_VALUES:
        edges = np.histogram_bin_edges(np.concatenate([reference, current]), bins="sturges")
        p, q = (np.histogram(sample, edges)[0] / len(sample) for sample in (reference, current))
    else:
        shares = [sample.value_counts(normalize=True) for sample in (reference, current)]
        p, q = pd.concat(shares, axis=1).fillna(0.0).to_numpy().T
    p, q = _floored(p), _floored(q)
    return float(np.sum((p - q) * np.log(p / q)))


def _floored(shares: NDArray[Any]) -> NDArray[Any]:
    """No bin may be empty, for its logarithm is taken."""
    least = float(shares[shares > 0].min())
    return np.where(shares == 0, least / 10**6 if least <= 0.0001 else 0.0001, shares)


def fit_baseline_detectors(known: pd.DataFrame, loss: float) -> BaselineDetectors:
    """The detectors, with a sample of the labelled flights of the history as their reference."""
    table = features(known.sample(ROWS, random_state=SEED)).reset_index(drop=True)
    return BaselineDetectors(table, loss, fit_quality_tests(known))


def fit_quality_tests(known: pd.DataFrame) -> QualityTests:
    """Limits from all flights of the history."""
    table = features(known)
    days = table.groupby(known["flight_id"].str[:10])
    missing = 1 - days.count().div(days.size(), axis=0)
    low, high = table[NUMBERS].min(), table[NUMBERS].max()
    return QualityTests(
        fewest=FEWEST * len(table) / days.ngroups,
        missing={str(name): MISSING_FACTOR * float(share) for name, share in missing.max().items()},
        values={name: sorted(table[name].unique()) for name in CATEGORIES},
        ranges={name: (float(low[name]), float(high[name])) for name in NUMBERS},
    )
