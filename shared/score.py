"""One score for every level: log loss, with AUC, Brier score and calibration, also by slice and by month."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import mean, stdev

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import log_loss, roc_auc_score

from shared.errors import UserError
from shared.settings import NEW_YORK


@dataclass(frozen=True)
class Score:
    """How good probabilities were on `rows` labelled flights.

    log_loss: nats per flight. auc: area under the ROC curve, NaN when all labels are equal. brier: mean squared
    error. calibration_error: mean distance between probability and share late over ten equally filled bins
    (expected calibration error; Naeini et al., AAAI 2015). late: share of late flights.
    """

    log_loss: float
    auc: float
    brier: float
    calibration_error: float
    late: float
    rows: int

    def __str__(self) -> str:
        """As part of a sentence, with digits that another seed does not change: its spread is in `make seeds`."""
        return f"log loss {self.log_loss:.3f}, AUC {self.auc:.2f} on {self.rows:,} flights"

    def as_dict(self) -> dict[str, float]:
        """The figures by name."""
        return asdict(self)


def score(late: ArrayLike, probability: ArrayLike) -> Score:
    """Score `probability` (n,) of being late against `late` (n,) of 0 and 1; raises UserError when empty."""
    label, chance = np.asarray(late, dtype=float), np.asarray(probability, dtype=float)
    if len(label) == 0:
        raise UserError("there is no labelled flight to score: choose a TODAY with flights after it")
    table = calibration(label, chance)
    gap = (table["predicted"] - table["observed"]).abs()
    return Score(
        log_loss=float(log_loss(label, chance, labels=[0, 1])),
        auc=float(roc_auc_score(label, chance)) if len(set(label)) == 2 else float("nan"),
        brier=float(np.mean((chance - label) ** 2)),
        calibration_error=float(np.average(gap, weights=table["rows"])),
        late=float(label.mean()),
        rows=len(label),
    )


def mean_score(scores: Sequence[Score]) -> Score:
    """The mean of the scores of several models on the same flights."""
    means = {name: mean(one.as_dict()[name] for one in scores) for name in scores[0].as_dict()}
    return Score(**means | {"rows": scores[0].rows})  # type: ignore[arg-type]  # rows is a whole number


def plus_minus(values: Sequence[float], digits: int = 3) -> str:
    """Mean ± standard deviation (n - 1) of the results of two runs or more, such as 0.512 ± 0.009."""
    return f"{mean(values):.{digits}f} ± {stdev(values):.{digits}f}"


def over_runs(scores: Sequence[Score]) -> str:
    """The scores of several runs on the same flights, as part of a sentence."""
    log_loss, auc = (plus_minus([getattr(one, name) for one in scores]) for name in ("log_loss", "auc"))
    return f"log loss {log_loss}, AUC {auc} (mean ± SD of {len(scores)} runs) on {scores[0].rows:,} flights"


def log_losses(late: ArrayLike, probability: ArrayLike) -> NDArray[np.float64]:
    """Log loss of each flight, in nats: (n,); probabilities are clipped to [1e-15, 1 - 1e-15]."""
    chance = np.clip(np.asarray(probability, dtype=np.float64), 1e-15, 1 - 1e-15)
    return np.where(np.asarray(late, dtype=np.float64) == 1, -np.log(chance), -np.log1p(-chance))


def calibration(late: ArrayLike, probability: ArrayLike) -> pd.DataFrame:
    """Mean probability, share late and rows of ten equally filled bins; equal probabilities share a bin."""
    table = pd.DataFrame({"observed": np.asarray(late), "predicted": np.asarray(probability)})
    below = (table["predicted"].rank() - 0.5) / len(table)  # the share of flights with a lower probability
    bins = table.groupby((below * min(10, len(table))).astype(int))
    return bins[["predicted", "observed"]].mean().assign(rows=bins.size())


def by_slice(flights: pd.DataFrame, probability: ArrayLike, column: str) -> pd.DataFrame:
    """The score of the flights with each value of `column`: one row per value, which is the index."""
    chance = pd.Series(np.asarray(probability, dtype=float), index=flights.index)
    groups = flights.groupby(column, observed=True)
    scores = {key: score(rows["late"], chance[rows.index]).as_dict() for key, rows in groups}
    return pd.DataFrame.from_dict(scores, orient="index").rename_axis(column)


def by_month(flights: pd.DataFrame, probability: ArrayLike) -> pd.DataFrame:
    """The score of each month of departure in New York, indexed by 2013-04 and so on."""
    local = flights["scheduled_departure"].dt.tz_convert(NEW_YORK).dt.tz_localize(None)
    month = local.dt.to_period("M").astype(str)  # strftime takes six seconds for a year
    return by_slice(flights.assign(month=month), probability, "month")
