"""Labels come late, twice, out of order and contradictory; each is joined once, to its flight, when its day closes.

A watermark says: all labels known before this time have been sent. A day of departure closes a day after its end.
"""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa

from level4_deployment.experiment.assignment import CHALLENGER, CHAMPION, arm, propensity
from level4_deployment.experiment.experiment_store import Experiment
from level4_deployment.prediction_log import (
    EXPERIMENT_DAYS,
    LABELS,
    PREDICTIONS,
    QUARANTINED_LABELS,
    WATERMARKS,
    first_predictions,
    insert,
)
from shared.errors import UserError
from shared.score import log_losses
from shared.settings import NEW_YORK

FURTHEST = 31 * 86_400  # seconds that a watermark may be ahead of the newest flight, or the last watermark
LABELS_DUE_AFTER = pd.Timedelta(hours=24)  # after a day's end: all but a few flights have landed by then
CLOCKS = (PREDICTIONS.c.departs_at, WATERMARKS.c.watermark)  # how far the stream has come


class SplitError(UserError):
    """A day whose flights were not split by the experiment's own salt and share."""


@dataclass(frozen=True)
class Label:
    """How a flight ended. late: 1 for 15 or more minutes; known_at: seconds since 1970 (UTC)."""

    flight_id: str
    late: int
    known_at: float


@dataclass(frozen=True)
class IngestResult:
    """How many of the labels sent were new, how many repeated a known one, and how many contradicted one."""

    new: int
    repeated: int
    quarantined: int


def ingest(log: sa.Engine, labels: list[Label], watermark: float | None) -> IngestResult:
    """Keep the first label of each flight. A contradictory one is quarantined, and its flight is used no more.

    At most 32,766 labels: SQLite binds no more values in a query. Raises UserError for labels of the future.
    """
    first: dict[str, Label] = {}
    for label in labels:
        first.setdefault(label.flight_id, label)
    now = time.time()
    latest = max((label.known_at for label in labels), default=0.0)
    with log.begin() as connection:
        _check_clock(connection, latest, watermark, now)
        new = len(first) - len(_known(connection, list(first)))
        if first:
            rows = [vars(label) | {"received_at": now} for label in first.values()]
            connection.execute(insert(log, LABELS), rows)
        known = _known(connection, list(first))
        against = [vars(label) | {"received_at": now} for label in labels if label.late != known[label.flight_id]]
        if against:
            connection.execute(QUARANTINED_LABELS.insert(), against)
        if watermark is not None:  # it never goes back
            connection.execute(insert(log, WATERMARKS), {"name": "labels", "watermark": watermark})
            later = WATERMARKS.c.watermark < watermark
            connection.execute(WATERMARKS.update().where(later).values(watermark=watermark))
    return IngestResult(new, len(labels) - new - len(against), len(against))


def _check_clock(connection: sa.Connection, latest: float, watermark: float | None, now: float) -> None:
    """Raise UserError for what cannot be known yet: the watermark never goes back, so a wrong one would close all days.

    Of a replay, this machine's clock is years ahead. So a watermark is also compared with how far the stream has come.
    """
    ends = [connection.execute(sa.select(sa.func.max(column))).scalar() for column in CLOCKS]
    reached = max((end for end in ends if end is not None), default=now) + FURTHEST
    for name, at, limit in (("known_at", latest, now), ("watermark", watermark or 0.0, min(now, reached))):
        if at > limit:
            latest_allowed = pd.Timestamp(limit, unit="s", tz=NEW_YORK)
            raise UserError(
                f"{name}={at:.0f} (seconds since 1970) lies beyond {latest_allowed:%Y-%m-%d %H:%M} in New York: now, "
                "or a month after the newest flight and watermark. Remedy: send what is known already."
            )


def _known(connection: sa.Connection, flights: list[str]) -> dict[str, int]:
    query = sa.select(LABELS.c.flight_id, LABELS.c.late).where(LABELS.c.flight_id.in_(flights))
    return {row.flight_id: row.late for row in connection.execute(query)}


def read_watermark(log: sa.Engine) -> float | None:
    """The time before which all labels have been sent, in seconds since 1970; None before the first."""
    with log.connect() as connection:
        return connection.execute(sa.select(WATERMARKS.c.watermark)).scalar()


def close_days(log: sa.Engine, experiment: Experiment) -> list[str]:
    """Write the days of an experiment that the watermark has closed; returns the new ones.

    Raises SplitError for a day that was split by another salt or share; that day is not written.
    """
    watermark = read_watermark(log)
    if watermark is None:
        return []
    last = pd.Timestamp(watermark, unit="s", tz=NEW_YORK) - LABELS_DUE_AFTER - pd.DateOffset(days=1)
    last_closed, last_written = str(last.date()), _last_written(log, experiment.experiment)
    closed = [day for day in _days_with_predictions(log, experiment.experiment) if last_written < day <= last_closed]
    for day in closed:
        rows = _rows(log, experiment, day)
        _check_split(rows[rows["propensity"] < 1], experiment, day)
        with log.begin() as connection:
            connection.execute(insert(log, EXPERIMENT_DAYS), _measured(rows, experiment, day))
    return closed


def _last_written(log: sa.Engine, experiment: str) -> str:
    """The last day that is written, for days are written in order; empty before the first."""
    query = sa.select(sa.func.max(EXPERIMENT_DAYS.c.day)).where(EXPERIMENT_DAYS.c.experiment == experiment)
    with log.connect() as connection:
        return str(connection.execute(query).scalar() or "")


def _days_with_predictions(log: sa.Engine, experiment: str) -> list[str]:
    """The days of departure that it has predictions for, without the first: it may have begun within that day."""
    own = PREDICTIONS.c.experiment == experiment
    queries = [sa.select(pick(PREDICTIONS.c.departs_at)).where(own) for pick in (sa.func.min, sa.func.max)]
    with log.connect() as connection:  # two queries: for both in one, SQLite would read the whole index
        first, last = (connection.execute(query).scalar() for query in queries)
    if first is None or last is None:
        return []
    start, end = (pd.Timestamp(at, unit="s", tz=NEW_YORK).normalize() for at in (first, last))
    return [str(day.date()) for day in pd.date_range(start + pd.DateOffset(days=1), end, freq="D")]


def _rows(log: sa.Engine, experiment: Experiment, day: str) -> pd.DataFrame:
    """Each flight of the experiment's day by its first prediction: both scores, and the label if known in time."""
    begin = pd.Timestamp(day, tz=NEW_YORK)
    end = begin + pd.DateOffset(days=1)
    answer = PREDICTIONS.c
    return first_predictions(
        log,
        [answer.flight_id, answer.arm, answer.propensity, answer.version, answer.probability],
        where=[
            answer.experiment == experiment.experiment,
            answer.departs_at >= begin.timestamp(),
            answer.departs_at < end.timestamp(),
        ],
        known_by=(end + LABELS_DUE_AFTER).timestamp(),
        shadow=True,
    )


def _check_split(live: pd.DataFrame, experiment: Experiment, day: str) -> None:
    """Raise SplitError unless the experiment's salt and its plan's share give each flight its arm.

    The share on record, and both in the routes, may have been changed since the experiment began.
    """
    share = experiment.plan.share
    arms = np.array([arm(experiment.salt, share, flight) for flight in live["flight_id"]], dtype=object)
    chances = np.array([propensity(share, one) for one in arms])
    others = int(((live["arm"] != arms) | ~np.isclose(live["propensity"], chances)).sum())
    if others:
        raise SplitError(
            f"{day}: {others:,} of {len(live):,} flights were split by another salt, or another share than {share:.0%}"
        )


def _measured(rows: pd.DataFrame, experiment: Experiment, day: str) -> dict[str, Any]:
    """A row of EXPERIMENT_DAYS."""
    live = rows[rows["propensity"] < 1]
    both = rows.dropna(subset=["other_probability", "late"])
    own, other = (log_losses(both["late"], both[name]) for name in ("probability", "other_probability"))
    difference = np.where(both["version"] == experiment.champion, own - other, other - own)
    return {
        "experiment": experiment.experiment,
        "day": day,
        "flights": len(both),
        "mean_loss_difference": float(difference.mean()) if len(both) else None,
        "champion_arm": int((live["arm"] == CHAMPION).sum()),
        "challenger_arm": int((live["arm"] == CHALLENGER).sum()),
    }
