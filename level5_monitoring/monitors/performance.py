"""How the champion does on outcomes that are known: against its own promise, and against the model before it.

A raw log loss rises in a stormy month and falls in a calm one, whatever the model is worth. What a model promises moves
with the month: a flight that it gives a probability p costs it H(p) = -p ln p - (1-p) ln(1-p) on average, if it is
right. Loss above that promise is what has gone wrong, with no reference window to choose.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
import sqlalchemy as sa
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from level4_deployment import prediction_log
from level4_deployment.experiment import sequential
from level5_monitoring.monitors.monitor_result import MonitorResult

Floats = NDArray[np.float64]
TOLERANCE = 0.005  # nats per flight above the promise: about 1% of the loss
ALPHA = 0.1  # the chance that a sound model is ever called broken: that costs a training, which the gates then judge
FIRST_DAY = 14  # days before anything is said: fewer tell little of their spread
COMPARED_DAYS = 28  # days that a new champion is compared with the one before it
SEVERE, IN_A_ROW = 0.15, 2  # nats per flight, and days: on a stormy day honest models may differ by 0.1
FEWEST = 100  # flights of a day, for its mean to count
CONTRACT, LABELS, NO_DOUBT = "contract", "labels", ""  # of LIVE

DAILY_PERFORMANCE = sa.Table(
    "daily_performance",  # a closed day of the champion's; written once
    prediction_log.METADATA,
    sa.Column("day", sa.Text, primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("flights", sa.Integer, nullable=False),  # that it answered and whose outcome is known
    sa.Column("loss", sa.Double, nullable=False),  # mean log loss, nats per flight
    sa.Column("expected_loss", sa.Double, nullable=False),  # mean entropy of its answers
    sa.Column("auc", sa.Double),  # none where all flights ended alike
    sa.Column("previous_version", sa.Integer),  # the champion before it
    sa.Column("gain", sa.Double),  # mean loss of that one, on the same flights, minus its own
    sa.Column(
        "excluded_reason", sa.Text, nullable=False, default=""
    ),  # "contract", "labels": what was in alarm on that day
)


def measure(window: pd.DataFrame, version: int, before: Callable[[pd.DataFrame], Floats] | None) -> dict[str, object]:
    """A line of LIVE from a closed day's window; before: what the former champion would have answered.

    Empty where too few flights tell anything.
    """
    own = window[(window["version"] == version) & window["late"].notna()]
    if len(own) < FEWEST:
        return {}
    late, chance = own["late"].to_numpy(float), _inside(own["probability"].to_numpy(float))
    loss = _loss(late, chance)
    gain = float((_loss(late, _inside(before(own))) - loss).mean()) if before else None
    expected_loss = float(-(chance * np.log(chance) + (1 - chance) * np.log1p(-chance)).mean())
    auc = float(roc_auc_score(late, chance)) if 0 < late.mean() < 1 else None
    day = str(own["day"].iloc[-1])
    return {
        "day": day,
        "version": version,
        "flights": len(own),
        "loss": float(loss.mean()),
        "expected_loss": expected_loss,
        "auc": auc,
        "gain": gain,
    }


def keep(log: sa.Engine, line: dict[str, object]) -> None:
    """Write a measured day; written already, it stays as it is."""
    with log.begin() as connection:
        connection.execute(prediction_log.insert(log, DAILY_PERFORMANCE), line)


def days_of(log: sa.Engine, version: int, until: str) -> pd.DataFrame:
    """The measured days of a version, oldest first."""
    query = (
        sa.select(DAILY_PERFORMANCE)
        .where(DAILY_PERFORMANCE.c.version == version, DAILY_PERFORMANCE.c.day <= until)
        .order_by(DAILY_PERFORMANCE.c.day)
    )
    columns = [column.name for column in DAILY_PERFORMANCE.columns]
    with log.connect() as connection:
        return pd.DataFrame(connection.execute(query).mappings().all(), columns=columns)


def beside(days: pd.DataFrame, before: int) -> pd.DataFrame:
    """Of the days of a champion, those on which it was compared with this one before it."""
    return days[days["previous_version"] == before].dropna(subset=["gain"])


def last_days(log: sa.Engine, count: int) -> pd.DataFrame:
    """The last measured days, whoever was the champion, oldest first."""
    query = sa.select(DAILY_PERFORMANCE).order_by(DAILY_PERFORMANCE.c.day.desc()).limit(count)
    with log.connect() as connection:
        return pd.DataFrame(connection.execute(query).mappings().all()[::-1])


def check_expected_loss(day: str, version: int, days: pd.DataFrame) -> MonitorResult:
    """Whether the champion loses more than it promises, by more than TOLERANCE; days in doubt do not count.

    A confidence sequence on day means, valid on every day (Podkopaev and Ramdas, ICLR 2022; Waudby-Smith et al. 2024).
    It takes days for independent; the weather of one is like that of the next, so that alarms come oftener than ALPHA.
    """
    days = days[days["excluded_reason"] == NO_DOUBT]
    excess = (days["loss"] - days["expected_loss"]).to_numpy(float)
    target, rows = f"version {version}", int(days["flights"].sum())
    if len(excess) < FIRST_DAY:
        return MonitorResult(
            day, "performance", target, "insufficient data", f"{len(excess)} of {FIRST_DAY} days with outcomes", rows
        )
    mean, least = _bound(excess)
    message = (
        f"{target} loses {mean:+.4f} nats per flight more than it promises, surely more than {least:+.4f}, "
        f"on {len(excess)} days and {rows:,} flights; {TOLERANCE:g} is tolerated"
    )
    return MonitorResult(
        day, "performance", target, "alarm" if least > TOLERANCE else "ok", message, rows, least, TOLERANCE
    )


def check_regression(day: str, version: int, before: int, days: pd.DataFrame, tried: list[float]) -> MonitorResult:
    """Whether a new champion does worse than the one before it would have done, on the very flights it answered.

    tried: the gains by day of the experiment that it has won, which count as well. By the same confidence sequence;
    days in doubt do not count.
    """
    live, rows, target = _beside(days[days["excluded_reason"] == NO_DOUBT], version)
    if len(live) < FIRST_DAY // 2:
        message = f"{len(live)} of {FIRST_DAY // 2} days beside version {before}"
        return MonitorResult(day, "regression_vs_previous", target, "insufficient data", message, rows)
    mean, least = _bound(np.concatenate([-np.asarray(tried, dtype=float), live]))
    message = (
        f"{target} loses {mean:+.4f} nats per flight more than version {before} would have, surely more than "
        f"{least:+.4f}, on {len(live)} days and {rows:,} flights, and {len(tried)} days in trial before"
    )
    return MonitorResult(
        day, "regression_vs_previous", target, "alarm" if least > 0 else "ok", message, rows, least, 0.0
    )


def check_severe_regression(day: str, version: int, before: int, days: pd.DataFrame) -> MonitorResult:
    """Whether a new champion does far worse than the one before it: there is no time to wait for proof.

    Outcomes that are wrong do not look like this: they are wrong for both. Inputs that are wrong may.
    """
    live, rows, target = _beside(days[days["excluded_reason"] != CONTRACT], version)
    if len(live) < IN_A_ROW:
        message = f"{len(live)} of {IN_A_ROW} days beside version {before}"
        return MonitorResult(day, "severe_regression", target, "insufficient data", message, rows)
    least = float(live[-IN_A_ROW:].min())
    message = (
        f"{target} loses at least {least:+.4f} nats per flight more than version {before} would have, on each of the "
        f"last {IN_A_ROW} days; {SEVERE:g} is a disaster"
    )
    return MonitorResult(
        day, "severe_regression", target, "alarm" if least > SEVERE else "ok", message, rows, least, SEVERE
    )


def _beside(days: pd.DataFrame, version: int) -> tuple[Floats, int, str]:
    """What it has lost more than the one before would have, by day, on so many flights; and its name."""
    return -days["gain"].to_numpy(float), int(days["flights"].sum()), f"version {version}"


def _bound(values: Floats) -> tuple[float, float]:
    """The mean of the days so far, and what the true one surely exceeds: on all days at once, but for ALPHA.

    Asymptotic (Waudby-Smith et al. 2024): the days' own spread is taken for the true one.
    """
    mean, error, _ = (part[-1] for part in sequential.running_statistics(values))
    bound = sequential.one_sided_boundary(len(values), sequential.best_rho(2 * ALPHA, COMPARED_DAYS / 2), ALPHA)
    return float(mean), float(mean - bound * error)


def _loss(late: Floats, chance: Floats) -> Floats:
    return np.where(late == 1, -np.log(chance), -np.log1p(-chance))


def _inside(chance: Floats) -> Floats:
    return np.clip(chance, 1e-15, 1 - 1e-15)
