"""How well the champion predicts, from labels: calibration, skill, and a comparison with the previous champion.

A raw log loss rises in a stormy month and falls in a calm one, however good the model is. Three figures move with the
month and need no reference window. Calibration in the large: the share that is late equals the mean probability.
Calibration slope: high probabilities are as high, and low ones as low, as they should be. Skill: the loss is clearly
lower than that of the base rate of the last weeks, predicted for every flight.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import logit
from sklearn.metrics import roc_auc_score

from level4_deployment.experiment import sequential
from level5_monitoring.monitors.monitor_result import CHAMPION, MonitorResult, above, below, insufficient
from shared.score import log_losses

Floats = NDArray[np.float64]
LARGEST_GAP = 0.02  # between the share of late flights and the mean probability
SLOPE_OFF = 0.2  # of the calibration slope from 1
LEAST_SKILL = 0.05  # share of the base rate's log loss that a model saves
BASE_DAYS, MIN_BASE_DAYS = 28, 7  # before a day, that its base rate is taken from
ALPHA = 0.1  # chance that a sound model is ever called broken: it costs a training, which the gates then judge
MIN_DAYS = 14  # before a model is judged: the spread of fewer days is not known well enough
COMPARED_DAYS = 28  # that a new champion is compared with the previous one
SEVERE, IN_A_ROW = 0.15, 2  # nats per flight, and days: on a stormy day sound models may differ by 0.1
MIN_FLIGHTS = 100  # of a day, for its mean to count
LEAST = 1e-6  # probability, for log odds to be finite
CONTRACT, LABELS, NOT_EXCLUDED = "contract", "labels", ""  # excluded_reason: what was in alarm on that day


@dataclass(frozen=True)
class DayPerformance:
    """A closed day of a champion.

    flights: that it predicted and that have a label. late_share: of these. mean_probability: what it predicted for
    them. loss: mean log loss, nats per flight. base_rate_loss: of the base rate of the days before. slope_score and
    slope_information: of the calibration slope at 1, per flight, about that base rate; these three are None without
    one. auc: None where all flights ended alike. previous_version: the champion before it. gain: that one's mean loss
    on the same flights, minus its own.
    """

    day: str
    version: int
    flights: int
    late_share: float
    mean_probability: float
    loss: float
    base_rate_loss: float | None = None
    slope_score: float | None = None
    slope_information: float | None = None
    auc: float | None = None
    previous_version: int | None = None
    gain: float | None = None
    excluded_reason: str = NOT_EXCLUDED


class Previous(NamedTuple):
    """The champion before, and the probabilities that it gives flights of a window."""

    version: int
    predict: Callable[[pd.DataFrame], Floats]


COLUMNS = [field.name for field in fields(DayPerformance)]


def measure(
    window: pd.DataFrame,
    version: int,
    previous: Previous | None = None,
    *,
    rate: float | None = None,
    excluded_reason: str = NOT_EXCLUDED,
) -> DayPerformance | None:
    """The performance of a version on a closed day's window; None where too few flights have a label.

    rate: the base rate of the days before.
    """
    own = window[(window["version"] == version) & window["late"].notna()]
    if len(own) < MIN_FLIGHTS:
        return None
    late, chance = own["late"].to_numpy(float), own["probability"].to_numpy(float)
    loss = log_losses(late, chance)
    return DayPerformance(
        day=str(own["day"].iloc[-1]),
        version=version,
        flights=len(own),
        late_share=float(late.mean()),
        mean_probability=float(chance.mean()),
        loss=float(loss.mean()),
        **_against_base_rate(late, chance, rate),
        auc=float(roc_auc_score(late, chance)) if 0 < late.mean() < 1 else None,
        previous_version=previous.version if previous else None,
        gain=float((log_losses(late, previous.predict(own)) - loss).mean()) if previous else None,
        excluded_reason=excluded_reason,
    )


def _against_base_rate(late: Floats, chance: Floats, rate: float | None) -> dict[str, float]:
    if rate is None:
        return {}
    chance, rate = np.clip(chance, LEAST, 1 - LEAST), min(max(rate, LEAST), 1 - LEAST)
    distance = logit(chance) - logit(rate)
    return {
        "base_rate_loss": float(log_losses(late, rate).mean()),
        "slope_score": float(((late - chance) * distance).mean()),
        "slope_information": float((chance * (1 - chance) * distance**2).mean()),
    }


def base_rate(days: pd.DataFrame) -> float | None:
    """The share late among the flights of the last BASE_DAYS of these days; None after fewer than MIN_BASE_DAYS.

    days: columns COLUMNS, oldest first, of all champions; excluded days do not count.
    """
    last = _counted(days).tail(BASE_DAYS)
    return float(np.average(last["late_share"], weights=last["flights"])) if len(last) >= MIN_BASE_DAYS else None


def check_calibration(day: str, version: int, days: pd.DataFrame) -> MonitorResult:
    """Calibration in the large: are flights late more often, or less often, than predicted, by more than LARGEST_GAP?

    days: of the version, columns COLUMNS; excluded days do not count. The value is the smallest gap, in either
    direction, that the confidence sequence of the days' gaps holds; 0 if it holds 0.
    """
    days = _counted(days)
    about = _about(day, "calibration", version, days)
    if len(days) < MIN_DAYS:
        return insufficient(message=f"{len(days)} of {MIN_DAYS} days with labels", **about)
    gap, width = _confidence((days["late_share"] - days["mean_probability"]).to_numpy(float), sides=2)
    message = (
        f"share late minus mean probability is {gap:+.3f}, confidence interval {gap - width:+.3f} to "
        f"{gap + width:+.3f} {_basis(days)}; {LARGEST_GAP:g} in either direction is tolerated"
    )
    return above(LARGEST_GAP, max(abs(gap) - width, 0.0), message=message, **about)


def check_calibration_slope(day: str, version: int, days: pd.DataFrame) -> MonitorResult:
    """Are probabilities too extreme (slope below 1), or too near the base rate (above 1), by more than SLOPE_OFF?

    The slope of the outcomes' log odds on the predicted ones (Cox, Biometrika 1958), about the base rate. It is found
    by one step of Fisher scoring from 1: far from 1 it is rough, but on the right side. days and value: as of
    `check_calibration`.
    """
    days = _counted(days).dropna(subset=["slope_score"])
    about = _about(day, "calibration_slope", version, days)
    if len(days) < MIN_DAYS or not days["slope_information"].any():
        return insufficient(message=f"{len(days)} of {MIN_DAYS} days with labels and a base rate", **about)
    off, width = _ratio(days["slope_score"], days["slope_information"], sides=2)
    message = (
        f"the calibration slope is {1 + off:.2f}, confidence interval {1 + off - width:.2f} to {1 + off + width:.2f} "
        f"{_basis(days)}; {1 - SLOPE_OFF:g} to {1 + SLOPE_OFF:g} is tolerated"
    )
    return above(SLOPE_OFF, max(abs(off) - width, 0.0), message=message, **about)


def check_skill(day: str, version: int, days: pd.DataFrame) -> MonitorResult:
    """Is the model hardly better than the base rate of the days before: skill, with confidence, below LEAST_SKILL?

    Skill is the share of the base rate's log loss that the model saves (Murphy, Monthly Weather Review 1988, for the
    squared error). days: as of `check_calibration`. The value is the upper confidence bound.
    """
    days = _counted(days).dropna(subset=["base_rate_loss"])
    about = _about(day, "skill", version, days)
    if len(days) < MIN_DAYS:
        return insufficient(message=f"{len(days)} of {MIN_DAYS} days with labels and a base rate", **about)
    skill, width = _ratio(days["base_rate_loss"] - days["loss"], days["base_rate_loss"], sides=1)
    message = (
        f"skill over the base rate of {BASE_DAYS} days is {skill:.3f}, upper confidence bound {skill + width:.3f} "
        f"{_basis(days)}; at least {LEAST_SKILL:g} is normal"
    )
    return below(LEAST_SKILL, skill + width, message=message, **about)


QUALITY_CHECKS = (check_calibration, check_calibration_slope, check_skill)  # of a champion by itself


def check_champion(
    day: str, version: int, days: pd.DataFrame, previous: int | None = None, experiment_gains: Sequence[float] = ()
) -> list[MonitorResult]:
    """All checks of a champion; days: of all champions. Compared with the previous one in its first COMPARED_DAYS."""
    own = days[days["version"] == version]
    results = [check(day, version, own) for check in QUALITY_CHECKS]
    both = own[own["previous_version"] == previous].dropna(subset=["gain"])
    if previous and len(both) <= COMPARED_DAYS:
        results.append(check_severe_regression(day, version, previous, both))
        results.append(check_regression(day, version, previous, both, experiment_gains))
    return results


def check_regression(
    day: str, version: int, previous: int, days: pd.DataFrame, experiment_gains: Sequence[float]
) -> MonitorResult:
    """Whether a new champion has a larger loss than the previous one, on the flights that the new one predicted.

    experiment_gains: by day, from the experiment that promoted it; they count as well. The same confidence sequence;
    excluded days do not count.
    """
    days = _counted(days)
    about = _about(day, "regression_vs_previous", version, days)
    if len(days) < MIN_DAYS // 2:
        message = f"{len(days)} of {MIN_DAYS // 2} days compared with version {previous}"
        return insufficient(message=message, **about)
    mean, width = _confidence(-np.concatenate([experiment_gains, days["gain"].to_numpy(float)]), sides=1)
    message = (
        f"its loss minus that of version {previous} is {mean:+.4f} nats per flight, lower confidence bound "
        f"{mean - width:+.4f} (valid on every day), on {len(days)} days and {about['rows']:,} flights, and "
        f"{len(experiment_gains)} days of the experiment before"
    )
    return above(0.0, mean - width, message=message, **about)


def check_severe_regression(day: str, version: int, previous: int, days: pd.DataFrame) -> MonitorResult:
    """Whether a new champion is so much worse than the previous one that there is no time for a test.

    Days with wrong labels count, because those are wrong for both models; days with wrong inputs do not.
    """
    days = days[days["excluded_reason"] != CONTRACT]
    about = _about(day, "severe_regression", version, days)
    if len(days) < IN_A_ROW:
        return insufficient(message=f"{len(days)} of {IN_A_ROW} days compared with version {previous}", **about)
    least = float((-days["gain"].to_numpy(float)[-IN_A_ROW:]).min())
    message = (
        f"its loss minus that of version {previous} is {least:+.4f} nats per flight or more on each of the last "
        f"{IN_A_ROW} days; {SEVERE:g} is severe"
    )
    return above(SEVERE, least, message=message, **about)


def _counted(days: pd.DataFrame) -> pd.DataFrame:
    return days[days["excluded_reason"] == NOT_EXCLUDED]


def _basis(days: pd.DataFrame) -> str:
    return f"(valid on every day), on {len(days)} days and {days['flights'].sum():,} flights"


def _about(day: str, monitor: str, version: int, days: pd.DataFrame) -> dict[str, Any]:
    rows = int(days["flights"].sum())
    return {"day": day, "monitor": monitor, "target": CHAMPION, "version": version, "rows": rows}


def _confidence(values: Floats, sides: Literal[1, 2]) -> tuple[float, float]:
    """The mean of the days so far, and how far its confidence bound lies from it, on one side or on both.

    Valid on all days at once with chance 1 - ALPHA, for independent days (Podkopaev and Ramdas, ICLR 2022). Asymptotic
    (Waudby-Smith et al. 2024): the spread of the days stands for the true one. Tightest after half of COMPARED_DAYS.
    """
    mean, error, _ = (part[-1] for part in sequential.running_statistics(values))
    boundary = sequential.one_sided_boundary if sides == 1 else sequential.two_sided_boundary
    rho = sequential.best_rho(2 * ALPHA / sides, COMPARED_DAYS / 2)
    return float(mean), float(boundary(len(values), rho, ALPHA) * error)


def _ratio(numerator: pd.Series, denominator: pd.Series, sides: Literal[1, 2]) -> tuple[float, float]:
    """The ratio of two sums over days, and the distance of its confidence bound (by linearisation; Cochran 1977)."""
    ratio = float(numerator.sum() / denominator.sum())
    _, width = _confidence((numerator - ratio * denominator).to_numpy(float), sides)
    return ratio, width / float(denominator.mean())
