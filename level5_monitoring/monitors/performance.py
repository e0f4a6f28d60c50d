"""How well the champion predicts, from labels: against its expected loss, and against the previous champion.

A raw log loss rises in a stormy month and falls in a calm one, however good the model is. The loss that a model expects
moves with the month: if its probability p is right, a flight costs H(p) = -p ln p - (1-p) ln(1-p) nats on average.
Observed loss above that expected loss is what has gone wrong, and needs no reference window.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from level4_deployment.experiment import sequential
from level5_monitoring.monitors.monitor_result import CHAMPION, MonitorResult, above, insufficient
from shared.score import log_losses

Floats = NDArray[np.float64]
TOLERANCE = 0.005  # nats per flight above the expected loss: about 1% of the loss
ALPHA = 0.1  # chance that a sound model is ever called broken: it costs a training, which the gates then judge
MIN_DAYS = 14  # before a model is judged: the spread of fewer days is not known well enough
COMPARED_DAYS = 28  # that a new champion is compared with the previous one
SEVERE, IN_A_ROW = 0.15, 2  # nats per flight, and days: on a stormy day sound models may differ by 0.1
MIN_FLIGHTS = 100  # of a day, for its mean to count
CONTRACT, LABELS, NOT_EXCLUDED = "contract", "labels", ""  # excluded_reason: what was in alarm on that day


@dataclass(frozen=True)
class DayPerformance:
    """A closed day of a champion.

    flights: that it predicted and that have a label. loss: mean log loss, nats per flight. expected_loss: mean entropy
    of its predictions. auc: None where all flights ended alike. previous_version: the champion before it. gain: that
    one's mean loss on the same flights, minus its own.
    """

    day: str
    version: int
    flights: int
    loss: float
    expected_loss: float
    auc: float | None
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
        loss=float(loss.mean()),
        expected_loss=float((chance * log_losses(1, chance) + (1 - chance) * log_losses(0, chance)).mean()),
        auc=float(roc_auc_score(late, chance)) if 0 < late.mean() < 1 else None,
        previous_version=previous_version,
        gain=float((log_losses(late, previous(own)) - loss).mean()) if previous else None,
        excluded_reason=excluded_reason,
    )


def compared_with(days: pd.DataFrame, previous: int) -> pd.DataFrame:
    """The days of a champion on which it was compared with this previous version."""
    return days[days["previous_version"] == previous].dropna(subset=["gain"])


def check_expected_loss(day: str, version: int, days: pd.DataFrame) -> MonitorResult:
    """Whether the observed loss exceeds the expected loss by more than TOLERANCE; excluded days do not count.

    days: columns COLUMNS. A confidence sequence on day means, valid on every day (Podkopaev and Ramdas, ICLR 2022;
    Waudby-Smith et al. 2024). It assumes independent days; weather lasts for days, so alarms are more frequent than
    ALPHA.
    """
    days = days[days["excluded_reason"] == NOT_EXCLUDED]
    excess = (days["loss"] - days["expected_loss"]).to_numpy(float)
    about = _about(day, "performance", version, days)
    if len(excess) < MIN_DAYS:
        return insufficient(message=f"{len(excess)} of {MIN_DAYS} days with labels", **about)
    mean, lower = _lower_bound(excess)
    message = (
        f"observed loss minus expected loss is {mean:+.4f} nats per flight, lower confidence bound {lower:+.4f} "
        f"(valid on every day), on {len(excess)} days and {about['rows']:,} flights; {TOLERANCE:g} is tolerated"
    )
    return above(TOLERANCE, lower, message=message, **about)


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
    mean, lower = _lower_bound(-np.concatenate([experiment_gains, days["gain"].to_numpy(float)]))
    message = (
        f"its loss minus that of version {previous} is {mean:+.4f} nats per flight, lower confidence bound "
        f"{lower:+.4f} (valid on every day), on {len(days)} days and {about['rows']:,} flights, and "
        f"{len(experiment_gains)} days of the experiment before"
    )
    return above(0.0, lower, message=message, **about)


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


def _about(day: str, monitor: str, version: int, days: pd.DataFrame) -> dict[str, Any]:
    rows = int(days["flights"].sum())
    return {"day": day, "monitor": monitor, "target": CHAMPION, "version": version, "rows": rows}


def _lower_bound(values: Floats) -> tuple[float, float]:
    """The mean of the days so far, and its lower confidence bound, valid on all days at once with chance 1 - ALPHA.

    Asymptotic (Waudby-Smith et al. 2024): the spread of the days stands for the true one.
    """
    mean, error, _ = (part[-1] for part in sequential.running_statistics(values))
    bound = sequential.one_sided_boundary(len(values), sequential.best_rho(2 * ALPHA, COMPARED_DAYS / 2), ALPHA)
    return float(mean), float(mean - bound * error)
