"""The record of experiments and of acts: what is compared with what, and who changed anything about it."""

import json
import time
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd
import sqlalchemy as sa

from level4_deployment.experiment.design import Plan
from level4_deployment.prediction_log import METADATA

RUNNING, APPROVAL = "running", "awaiting approval"  # every other state is an end:
PROMOTED, REJECTED, INCONCLUSIVE, ABORTED, INVALIDATED = (
    "promoted",
    "rejected",
    "inconclusive",
    "aborted",
    "invalidated",
)

EXPERIMENTS = sa.Table(
    "experiments",
    METADATA,
    sa.Column("experiment", sa.Text, primary_key=True),
    sa.Column("champion", sa.Integer, nullable=False),
    sa.Column("challenger", sa.Integer, nullable=False),
    sa.Column("salt", sa.Text, nullable=False),
    sa.Column("share", sa.Double, nullable=False),  # of flights, 0 in shadow
    sa.Column("plan", sa.Text, nullable=False),
    sa.Column("live_from", sa.Text),  # the first day of the live split, once it is known
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("submitted_by", sa.Text, nullable=False),
    sa.Column("number", sa.Integer, nullable=False),  # 1 is the first
)
DAYS = sa.Table(
    "experiment_days",  # what an experiment saw on a day that is closed; written once
    METADATA,
    sa.Column("experiment", sa.Text, primary_key=True),
    sa.Column("day", sa.Text, primary_key=True),
    sa.Column("flights", sa.Integer, nullable=False),  # with both scores and an outcome
    sa.Column("mean_loss_difference", sa.Double),  # mean over them of the champion's loss minus the challenger's
    sa.Column("champion_arm", sa.Integer, nullable=False),  # flights logged in the live split, by arm
    sa.Column("challenger_arm", sa.Integer, nullable=False),
)
AUDIT = sa.Table(
    "audit",  # written before an act, and closed after it: what is open at a start was cut off
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("old_value", sa.Text),
    sa.Column("new_value", sa.Text),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("status", sa.Integer, nullable=False),  # OPEN, DONE or CUT_OFF
)
OPEN, DONE, CUT_OFF = 0, 1, -1
PROMOTE, ROLL_BACK = MOVES = ("promote", "roll_back")  # the acts that move the alias champion


@dataclass(frozen=True)
class Experiment:
    """One comparison of two versions. Salt and planned share never change: another split is another experiment."""

    experiment: str
    champion: int
    challenger: int
    salt: str
    share: float
    plan: Plan
    live_from: str | None
    state: str
    reason: str
    submitted_by: str
    number: int = 1


def new_experiment(log: sa.Engine, champion: int, challenger: int, plan: Plan, who: str) -> Experiment:
    """The next experiment, which begins in shadow; its name is its salt, so a replay draws the same flights."""
    with log.connect() as connection:
        number = 1 + connection.execute(sa.select(sa.func.count()).select_from(EXPERIMENTS)).scalar_one()
    name = f"{champion}-against-{challenger}-no{number}"
    return Experiment(name, champion, challenger, name, 0.0, plan, None, RUNNING, "in shadow", who, number)


def save(log: sa.Engine, *changed: Experiment) -> None:
    """Write experiments in place of what is on record of them, all at once."""
    with log.begin() as connection:
        for one in changed:
            row = asdict(one) | {"plan": json.dumps(asdict(one.plan))}
            connection.execute(EXPERIMENTS.delete().where(EXPERIMENTS.c.experiment == one.experiment))
            connection.execute(EXPERIMENTS.insert(), row)


def find(log: sa.Engine, *states: str) -> list[Experiment]:
    """The experiments in any of these states, oldest first; without one, all."""
    query = sa.select(EXPERIMENTS).order_by(EXPERIMENTS.c.number)
    if states:
        query = query.where(EXPERIMENTS.c.state.in_(states))
    with log.connect() as connection:
        rows = [dict(row) for row in connection.execute(query).mappings()]
    return [Experiment(**row | {"plan": Plan(**json.loads(row["plan"]))}) for row in rows]


def days_of(log: sa.Engine, experiment: str) -> pd.DataFrame:
    """The closed days of an experiment, in order: day, flights, difference, champion_arm, challenger_arm."""
    query = sa.select(DAYS).where(DAYS.c.experiment == experiment).order_by(DAYS.c.day)
    with log.connect() as connection:
        return pd.DataFrame(connection.execute(query).mappings().all(), columns=DAYS.columns.keys())


def begin_act(log: sa.Engine, who: str, act: str, change: tuple[object, object], reason: str) -> int:
    """Put on record what is about to be done; returns the number to close it with."""
    row = _about(who, act, change) | {"at": time.time(), "reason": reason, "status": OPEN}
    with log.begin() as connection:
        return int(connection.execute(AUDIT.insert().returning(AUDIT.c.number), row).scalar_one())


def try_again(log: sa.Engine, who: str, act: str, change: tuple[object, object], reason: str) -> int:
    """As begin_act; but what was cut off, with nothing done since, keeps its row: one is enough for many tries."""
    done = sa.select(sa.func.coalesce(sa.func.max(AUDIT.c.number), 0)).where(AUDIT.c.status != CUT_OFF)
    same = [AUDIT.c[name] == value for name, value in _about(who, act, change).items()]
    query = sa.select(sa.func.max(AUDIT.c.number)).where(AUDIT.c.number > done.scalar_subquery(), *same)
    with log.begin() as connection:
        number = connection.execute(query).scalar_one()
        now = {"at": time.time(), "reason": reason, "status": OPEN}
        connection.execute(AUDIT.update().where(AUDIT.c.number == number).values(now))
    return number or begin_act(log, who, act, change, reason)


def _about(who: str, act: str, change: tuple[object, object]) -> dict[str, Any]:
    before, after = (None if value is None else str(value) for value in change)
    return {"actor": who, "action": act, "old_value": before, "new_value": after}


def end_act(log: sa.Engine, number: int, done: int = DONE) -> None:
    """It is done; or CUT_OFF, by an error or a sudden end before it took effect."""
    with log.begin() as connection:
        connection.execute(AUDIT.update().where(AUDIT.c.number == number).values(status=done))


def acts(log: sa.Engine, *, open_only: bool = False) -> list[dict[str, Any]]:
    """The audit trail, oldest first."""
    return _acts(log, AUDIT.c.status == OPEN if open_only else sa.true())


def moves(log: sa.Engine) -> list[dict[str, Any]]:
    """The acts that gave a version the alias champion, oldest first; those that were cut off gave it to none."""
    return _acts(log, sa.and_(AUDIT.c.action.in_(MOVES), AUDIT.c.status != CUT_OFF))


def _acts(log: sa.Engine, which: sa.ColumnElement[bool]) -> list[dict[str, Any]]:
    query = sa.select(AUDIT).where(which).order_by(AUDIT.c.number)
    with log.connect() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]
