"""What others would watch the same flights with: Evidently's defaults, PSI above 0.2, a fixed limit on a week's loss.

Where a rival's own code raises (a column without a value), that counts as its alarm.
"""

import hashlib
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.metrics import log_loss

from level2_devops.features import CATEGORIES, features
from level2_devops.model import SEED

ROWS = 5_000  # of the reference; above 1,000 Evidently measures distances
PSI = 0.2  # the rule of thumb for a shift that asks for action
DRIFT_SHARE = 0.5  # Evidently's: so many columns have to drift for the data set to
WORSE = 1.1  # the week's log loss may be so many times the history's


class AlarmRatio(NamedTuple):
    """How near an alarm is: value over limit, so that 1 is an alarm. detector: which figure, of which method."""

    detector: str
    monitor: str
    target: str
    ratio: float


@dataclass(frozen=True)
class BaselineDetectors:
    """reference: (ROWS, 25) features of the history. loss: the log loss of the history's last month, nats."""

    reference: pd.DataFrame
    loss: float
    known: dict[bytes, float] = field(default_factory=dict)  # most columns of a spoilt day are as they were

    def look_at_day(self, table: pd.DataFrame) -> list[AlarmRatio]:
        """Evidently's preset on the (n, 25) features of a day's flights."""
        return self._evidently(table, "daily")

    def look_at_week(self, table: pd.DataFrame) -> list[AlarmRatio]:
        """The preset and PSI, on the features of a week's flights."""
        psi = [AlarmRatio("PSI", "drift", str(name), self._distance(table[name], "psi") / PSI) for name in table]
        return [*self._evidently(table, "weekly"), *psi]

    def look_at_outcomes(self, window: pd.DataFrame) -> list[AlarmRatio]:
        """The log loss of a week's flights."""
        labelled = window.dropna(subset=["late"])
        loss = log_loss(labelled["late"], labelled["probability"], labels=[0, 1]) if len(labelled) else np.inf
        return [AlarmRatio("loss", "performance", "model", loss / self.loss / WORSE)]

    def _evidently(self, table: pd.DataFrame, how_often: str) -> list[AlarmRatio]:
        """Each column, and the data set: it drifts with the DRIFT_SHARE of its columns that drift most."""
        ratios = {name: self._distance(table[name], None) for name in table}
        most = sorted(ratios.values(), reverse=True)[int(np.ceil(DRIFT_SHARE * len(ratios))) - 1]
        columns = [AlarmRatio(f"columns {how_often}", "drift", str(name), ratio) for name, ratio in ratios.items()]
        return [*columns, AlarmRatio(f"data set {how_often}", "drift", "data set", most)]

    def _distance(self, now: pd.Series, test: str | None) -> float:
        """Evidently's own figure; for its own choice of test, over that test's limit."""
        key = hashlib.blake2b(f"{test} {now.name}".encode() + pd.util.hash_array(now.to_numpy()).tobytes()).digest()
        if key not in self.known:
            self.known[key] = _measured(self.reference[now.name].dropna(), now.dropna(), test)
        return self.known[key]


def _measured(then: pd.Series, now: pd.Series, test: str | None) -> float:
    from evidently.legacy.calculations.stattests import get_stattest  # takes seconds
    from evidently.legacy.core import ColumnType

    if now.empty:
        return np.inf
    kind = ColumnType.Categorical if now.name in CATEGORIES else ColumnType.Numerical
    result = get_stattest(then, now, kind, test)(then, now, kind, None)
    return float(result.drift_score / (1 if test else result.actual_threshold))


def fit_baseline_detectors(known: pd.DataFrame, loss: float) -> BaselineDetectors:
    """Rivals that know the same history."""
    return BaselineDetectors(features(known.sample(ROWS, random_state=SEED)).reset_index(drop=True), loss)
