"""Outcomes: late, twice, out of order, contradicting; each joined once to its flight, day by day behind a watermark."""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa

from level4_deployment.experiment.assignment import arm, propensity
from level4_deployment.experiment.experiment_store import DAYS, Experiment
from level4_deployment.prediction_log import LABELS, METADATA, PREDICTIONS, QUARANTINE, SHADOW_PREDICTIONS, insert
from shared.errors import UserError
from shared.settings import NEW_YORK

LABELS_DUE_AFTER = pd.Timedelta(hours=24)  # after a day's end: all but a few flights have landed by then

WATERMARKS = sa.Table(
    "watermarks",
    METADATA,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("watermark", sa.Double, nullable=False),  # all outcomes known before this instant have been sent
)


@dataclass(frozen=True)
class Label:
    """How a flight ended. late: 1 for 15 or more minutes; known_at: seconds since 1970 (UTC)."""

    flight_id: str
    late: int
    known_at: float


@dataclass(frozen=True)
class IngestResult:
    """What became of the outcomes that were sent."""

    new: int
    repeated: int
    quarantined: int


def ingest(log: sa.Engine, labels: list[Label], watermark: float | None) -> IngestResult:
    """Keep each flight's first outcome; one that contradicts it goes to quarantine, and the flight is used no more."""
    first: dict[str, Label] = {}
    for label in labels:
        first.setdefault(label.flight_id, label)
    now = time.time()
    with log.begin() as connection:
        new = 0
        if first:
            rows = [vars(label) | {"received_at": now} for label in first.values()]
            known = _known(connection, list(first))
            new = len(first) - len(known)
            connection.execute(insert(log, LABELS), rows)
            known = _known(connection, list(first))
            against = [vars(label) for label in labels if label.late != known[label.flight_id]]
            if against:
                connection.execute(QUARANTINE.insert(), [row | {"received_at": now} for row in against])
        if watermark is not None:
            _advance(log, connection, watermark)
    return IngestResult(new, len(labels) - new - len(against) if first else 0, len(against) if first else 0)


def _known(connection: sa.Connection, flights: list[str]) -> dict[str, int]:
    found = {}
    for start in range(0, len(flights), 500):  # SQLite binds a limited number of values
        part = flights[start : start + 500]
        query = sa.select(LABELS.c.flight_id, LABELS.c.late).where(LABELS.c.flight_id.in_(part))
        found.update({row.flight_id: row.late for row in connection.execute(query)})
    return found


def _advance(log: sa.Engine, connection: sa.Connection, watermark: float) -> None:
    """A watermark never goes back."""
    connection.execute(insert(log, WATERMARKS), {"name": "labels", "watermark": watermark})
    later = WATERMARKS.c.watermark < watermark
    connection.execute(WATERMARKS.update().where(later).values(watermark=watermark))


def read_watermark(log: sa.Engine) -> float | None:
    """The instant before which every outcome has been sent; None before the first."""
    with log.connect() as connection:
        found = connection.execute(sa.select(WATERMARKS.c.watermark)).scalar()
        return None if found is None else float(found)


class SplitError(UserError):
    """A day on which flights were split otherwise than the experiment was begun with."""


def close_days(log: sa.Engine, experiment: Experiment) -> list[str]:
    """Write down the days of an experiment that the watermark has passed; returns the new ones.

    Raises SplitError for a day that was split by another salt or share; it is not written.
    """
    watermark = read_watermark(log)
    if watermark is None:
        return []
    last = (
        pd.Timestamp(watermark, unit="s", tz=NEW_YORK) - LABELS_DUE_AFTER - pd.DateOffset(days=1)
    )  # may be closed by now
    written = _last_written(log, experiment.experiment)
    if written >= str(last.date()):
        return []
    closed = []
    for day in _days_asked(log, experiment.experiment):
        if not written < day <= str(last.date()):
            continue
        rows = _rows(log, experiment, day)
        if len(rows):
            _check_split(rows[rows["propensity"] < 1], experiment, day)
        with log.begin() as connection:
            connection.execute(insert(log, DAYS), _day(rows, experiment, day))
        closed.append(day)
    return closed


def _last_written(log: sa.Engine, experiment: str) -> str:
    """The last closed day, for days are closed in order; empty before the first."""
    with log.connect() as connection:
        query = sa.select(sa.func.max(DAYS.c.day)).where(DAYS.c.experiment == experiment)
        return str(connection.execute(query).scalar() or "")


def _begin(day: str) -> pd.Timestamp:
    return pd.Timestamp(day, tz=NEW_YORK)


def _days_asked(log: sa.Engine, experiment: str) -> list[str]:
    """The days of departure it has predictions for; the first is left out, which may have begun before it."""
    ends = (  # each by itself: for both at once, SQLite would go through the whole index
        sa.select(end(PREDICTIONS.c.departs_at)).where(PREDICTIONS.c.experiment == experiment).scalar_subquery()
        for end in (sa.func.min, sa.func.max)
    )
    with log.connect() as connection:
        first, last = connection.execute(sa.select(*ends)).one()
    if first is None:
        return []
    start, end = (pd.Timestamp(at, unit="s", tz=NEW_YORK).normalize() for at in (first, last))
    return [str(day.date()) for day in pd.date_range(start + pd.DateOffset(days=1), end, freq="D")]


def _rows(log: sa.Engine, experiment: Experiment, day: str) -> pd.DataFrame:
    """Each flight of the day that the experiment saw, by its first answer: both scores, and the outcome if known."""
    begin, end = _begin(day), _begin(day) + pd.DateOffset(days=1)
    contradicted = sa.select(QUARANTINE.c.flight_id)
    in_time = sa.and_(
        LABELS.c.flight_id == PREDICTIONS.c.flight_id,
        LABELS.c.known_at <= (end + LABELS_DUE_AFTER).timestamp(),
        LABELS.c.flight_id.not_in(contradicted),
    )
    query = (
        sa.select(
            PREDICTIONS.c.flight_id,
            PREDICTIONS.c.arm,
            PREDICTIONS.c.propensity,
            PREDICTIONS.c.version,
            PREDICTIONS.c.probability,
            SHADOW_PREDICTIONS.c.probability.label("other"),
            LABELS.c.late,
        )
        .outerjoin(SHADOW_PREDICTIONS, SHADOW_PREDICTIONS.c.request_id == PREDICTIONS.c.request_id)
        .outerjoin(LABELS, in_time)
        .where(
            PREDICTIONS.c.experiment == experiment.experiment,
            PREDICTIONS.c.departs_at >= begin.timestamp(),
            PREDICTIONS.c.departs_at < end.timestamp(),
        )
        .order_by(PREDICTIONS.c.asked_at)
    )
    with log.connect() as connection:
        found = pd.DataFrame(connection.execute(query).mappings().all())
    return found.drop_duplicates("flight_id") if len(found) else found


def _check_split(live: pd.DataFrame, experiment: Experiment, day: str) -> None:
    """Each flight must have come into its arm by the salt that the experiment is named after, and by its plan's share.

    The record and the routes hold both too, and may have been changed since.
    """
    share = experiment.plan.share
    arms = np.array([arm(experiment.experiment, share, flight) for flight in live["flight_id"]], dtype=object)
    chances = np.array([propensity(share, one) for one in arms])
    others = int(((live["arm"] != arms) | ~np.isclose(live["propensity"], chances)).sum())
    if others:
        raise SplitError(
            f"{day}: {others:,} of {len(live):,} flights were split by another salt, or another share than {share:.0%}"
        )


def _day(rows: pd.DataFrame, experiment: Experiment, day: str) -> dict[str, Any]:
    """A line of DAYS. Loss is log loss, in nats; a probability of exactly 0 or 1 counts as 1e-15 from it."""
    empty = {"experiment": experiment.experiment, "day": day, "flights": 0, "mean_loss_difference": None}
    if rows.empty:
        return empty | {"champion_arm": 0, "challenger_arm": 0}
    live = rows[rows["propensity"] < 1]
    arms = {f"{arm}_arm": int((live["arm"] == arm).sum()) for arm in ("champion", "challenger")}
    both = rows.dropna(subset=["other", "late"])
    if both.empty:
        return empty | arms
    own, other = (
        np.where(both["late"] == 1, -np.log(chance), -np.log1p(-chance))
        for chance in (both[name].astype(float).clip(1e-15, 1 - 1e-15) for name in ("probability", "other"))
    )
    better = np.where(both["version"] == experiment.champion, own - other, other - own)
    return empty | arms | {"flights": len(both), "mean_loss_difference": float(better.mean())}
