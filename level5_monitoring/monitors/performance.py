"""How well the champion predicts, from labels: calibration, skill, and a comparison with the previous champion.

A raw log loss rises in a stormy month and falls in a calm one, however good the model is. Two figures move with the
month and need no reference window. Calibration in the large: over all flights, the share that is late equals the mean
probability. Skill: the loss is clearly lower than that of the base rate of the last weeks, predicted for every flight.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from level4_deployment.experiment import sequential
from level5_monitoring.monitors.monitor_result import CHAMPION, MonitorResult, above, below, insufficient
from shared.score import log_losses

Floats = NDArray[np.float64]
TOLERATED_GAP = 0.02  # between the share of late flights and the mean probability
LEAST_SKILL = 0.05  # share of the base rate's log loss that a model saves; a sound one saves 0.15 to 0.2 in 2013
BASE_DAYS, MIN_BASE_DAYS = 28, 7  # before a day, that its base rate is taken from
ALPHA = 0.1  # chance that a sound model is ever called broken: it costs a training, which the gates then judge
MIN_DAYS = 14  # before a model is judged: the spread of fewer days is not known well enough
COMPARED_DAYS = 28  # that a new champion is compared with the previous one
SEVERE, IN_A_ROW = 0.15, 2  # nats per flight, and days: on a stormy day sound models may differ by 0.1
MIN_FLIGHTS = 100  # of a day, for its mean to count
CONTRACT, LABELS, NOT_EXCLUDED = "contract", "labels", ""  # excluded_reason: what was in alarm on that day


@dataclass(frozen=True)
class DayPerformance:
    """A closed day of a champion.

    flights: that it predicted and that have a label. late_share: of these. mean_probability: what it predicted for
    them. loss: mean log loss, nats per flight. auc: None where all flights ended alike. previous_version: the champion
    before it. gain: that one's mean loss on the same flights, minus its own.
    """

    day: str
    version: int
    flights: int
    late_share: float
    mean_probability: float
    loss: float
    auc: float | None = None
    previous_version: int | None = None
    gain: float | None = None
    excluded_reason: str = NOT_EXCLUDED


COLUMNS = [field.name for field in fields(DayPerformance)]


def measure(
    window: pd.DataFrame,
    version: int,
    previous: Callable[[pd.DataFrame], Floats] | None = None,
    *,
    previous_version: int | None = None,
    excluded_reason: str = NOT_EXCLUDED,
) -> DayPerformance | None:
    """The performance of a version on a closed day's window; None where too few flights have a label.

    previous: the probabilities of the previous champion for flights of the window.
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
        auc=float(roc_auc_score(late, chance)) if 0 < late.mean() < 1 else None,
        previous_version=previous_version,
        gain=float((log_losses(late, previous(own)) - loss).mean()) if previous else None,
        excluded_reason=excluded_reason,
    )


def compared_with(days: pd.DataFrame, previous: int) -> pd.DataFrame:
    """The days of a champion on which it was compared with this previous version."""
    return days[days["previous_version"] == previous].dropna(subset=["gain"])


def check_calibration(day: str, version: int, days: pd.DataFrame) -> MonitorResult:
    """Whether flights are late more often, or less often, than predicted, by more than TOLERATED_GAP.

    days: columns COLUMNS; those of other versions and excluded days do not count. The value is the smallest gap, in
    either direction, that the confidence sequence of the days' gaps still holds; 0 if it holds 0.
    """
    own = _counted(days, version)
    about = _about(day, "calibration", version, own)
    if len(own) < MIN_DAYS:
        return insufficient(message=f"{len(own)} of {MIN_DAYS} days with labels", **about)
    gap, width = _confidence((own["late_share"] - own["mean_probability"]).to_numpy(float), sides=2)
    message = (
        f"share late minus mean probability is {gap:+.3f}, confidence interval {gap - width:+.3f} to "
        f"{gap + width:+.3f} (valid on every day), on {len(own)} days and {about['rows']:,} flights; "
        f"{TOLERATED_GAP:g} in either direction is tolerated"
    )
    return above(TOLERATED_GAP, max(abs(gap) - width, 0.0), message=message, **about)


def check_skill(day: str, version: int, days: pd.DataFrame) -> MonitorResult:
    """Whether the model is hardly better than the base rate: skill, with confidence, below LEAST_SKILL.

    days: columns COLUMNS, of all versions, because the days before a champion give its first base rates; excluded days
    do not count. Skill is the share of the base rate's log loss that the model saves (Murphy, Weather and Forecasting
    1988, for any score). The value is its upper confidence bound.
    """
    days = days[days["excluded_reason"] == NOT_EXCLUDED]
    late, rate = days["late_share"], _base_rates(days)
    base = late * log_losses(1, rate) + (1 - late) * log_losses(0, rate)
    own = days.assign(base=base)[(days["version"] == version) & rate.notna()]
    about = _about(day, "skill", version, own)
    if len(own) < MIN_DAYS:
        return insufficient(message=f"{len(own)} of {MIN_DAYS} days with labels and a base rate", **about)
    spare, width = _confidence((own["base"] * (1 - LEAST_SKILL) - own["loss"]).to_numpy(float), sides=1)
    skill, upper = (LEAST_SKILL + part / float(own["base"].mean()) for part in (spare, spare + width))
    message = (
        f"skill over the base rate of {BASE_DAYS} days is {skill:.3f}, upper confidence bound {upper:.3f} (valid on "
        f"every day), on {len(own)} days and {about['rows']:,} flights; at least {LEAST_SKILL:g} is normal"
    )
    return below(LEAST_SKILL, upper, message=message, **about)


def _base_rates(days: pd.DataFrame) -> pd.Series:
    """Of each day, the share late among the flights of the BASE_DAYS days before it; NaN after too few days."""
    counts = pd.DataFrame({"late": days["late_share"] * days["flights"], "flights": days["flights"]})
    before = counts.rolling(BASE_DAYS, min_periods=MIN_BASE_DAYS).sum().shift()
    return before["late"] / before["flights"]


def check_regression(
    day: str, version: int, previous: int, days: pd.DataFrame, experiment_gains: list[float]
) -> MonitorResult:
    """Whether a new champion has a larger loss than the previous one, on the flights that the new one predicted.

    experiment_gains: by day, from the experiment that promoted it; they count as well. The same confidence sequence;
    excluded days do not count.
    """
    days = days[days["excluded_reason"] == NOT_EXCLUDED]
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
        f"its loss exceeds that of version {previous} by at least {least:+.4f} nats per flight on each of the last "
        f"{IN_A_ROW} days; {SEVERE:g} is severe"
    )
    return above(SEVERE, least, message=message, **about)


def _counted(days: pd.DataFrame, version: int) -> pd.DataFrame:
    return days[(days["version"] == version) & (days["excluded_reason"] == NOT_EXCLUDED)]


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
