"""The audit trail: an intent log of every action, written before it begins and closed after it.

An action that is still open when the platform starts was cut off by a sudden end; its fields say what to finish.
"""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa

from level4_deployment.experiment.experiment_store import Experiment
from level4_deployment.prediction_log import AUDIT

OPEN, DONE, CUT_OFF = "open", "done", "cut_off"  # status; cut off: it never took effect
PROMOTE, ROLL_BACK = MOVES = ("promote", "roll_back")  # the actions that move the alias champion
BEGIN, GO_LIVE, AWAIT_APPROVAL = "begin_experiment", "go_live", "await_approval"
END, STOP = "end_experiment", "stop_experiment"  # by a verdict or a promotion; without one
CHANGE_SPLIT, REFUSE = "change_traffic_split", "refuse"
PLATFORM, REGISTRY = "platform", "registry"  # actors: the platform by itself; a person who bypassed it


@dataclass(frozen=True)
class Action:
    """What is about to be done, as columns of AUDIT.

    version: the new champion, or the version tried or refused. old_value and new_value: the champion's version of a
    move; the state of an experiment that ends or waits; the challenger's share of one that goes live or is changed.
    """

    actor: str
    action: str
    reason: str
    version: int | None = None
    experiment: str | None = None
    old_value: str | None = None
    new_value: str | None = None


def move(actor: str, action: str, old: int | None, new: int, reason: str) -> Action:
    """The alias champion goes from one version to another. action: PROMOTE or ROLL_BACK."""
    return Action(actor, action, reason, new, None, None if old is None else str(old), str(new))


def begin(log: sa.Engine, action: Action) -> int:
    """Record what is about to be done; returns the number to close it with.

    The platform tries again at every poll what it could not do. If nothing was done since, the row is used again.
    """
    row = asdict(action) | {"at": time.time(), "status": OPEN}
    with log.begin() as connection:
        if action.actor == PLATFORM and (number := connection.execute(_same_attempt(action)).scalar_one()):
            connection.execute(AUDIT.update().where(AUDIT.c.number == number).values(row))
            return int(number)
        return int(connection.execute(AUDIT.insert().returning(AUDIT.c.number), row).scalar_one())


def _same_attempt(action: Action) -> sa.Select[Any]:
    """The number of the row of this very action that was cut off after everything else that was done."""
    done = sa.select(sa.func.coalesce(sa.func.max(AUDIT.c.number), 0)).where(AUDIT.c.status != CUT_OFF)
    same = [AUDIT.c[name].is_not_distinct_from(value) for name, value in asdict(action).items() if name != "reason"]
    return sa.select(sa.func.max(AUDIT.c.number)).where(AUDIT.c.number > done.scalar_subquery(), *same)


def close(log: sa.Engine, number: int, status: str = DONE) -> None:
    """Record that an action is DONE, or CUT_OFF before it took effect."""
    with log.begin() as connection:
        connection.execute(AUDIT.update().where(AUDIT.c.number == number).values(status=status))


def record(log: sa.Engine, action: Action) -> None:
    """Record what is done already."""
    close(log, begin(log, action))


def trail(log: sa.Engine, *conditions: sa.ColumnElement[bool]) -> list[dict[str, Any]]:
    """The rows of AUDIT, oldest first; with conditions, those that meet them."""
    query = sa.select(AUDIT).where(*conditions).order_by(AUDIT.c.number)
    with log.connect() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def moves(log: sa.Engine) -> list[dict[str, Any]]:
    """The actions that moved the alias champion, oldest first, without those that never took effect."""
    return trail(log, AUDIT.c.action.in_(MOVES), AUDIT.c.status != CUT_OFF)


def last_move(log: sa.Engine) -> dict[str, Any] | None:
    """The newest of `moves`: `version` is the champion that the platform knows of; None before the first."""
    return next(reversed(moves(log)), None)


def champion_before(log: sa.Engine, version: int | None) -> int | None:
    """The champion that `version` replaced when it was last promoted; None where there was none.

    A promotion by the platform counts before one that was made in the registry itself: there, an alias that went to a
    bad version and back would make the bad one the champion before.
    """
    promotions = [one for one in moves(log) if (one["action"], one["version"]) == (PROMOTE, version)]
    replaced = [one["old_value"] for one in sorted(promotions, key=lambda one: one["actor"] != REGISTRY)]
    return int(replaced[-1]) if replaced and replaced[-1] else None


def took_effect(action: Mapping[str, Any], experiments: Mapping[str, Experiment]) -> bool:
    """Whether an open action on an experiment was done, by the experiments as they are on record."""
    one = experiments.get(action["experiment"] or "")
    if one is None:
        return False
    match action["action"]:
        case "begin_experiment" | "change_traffic_split":  # the experiment that they make is saved last
            return True
        case "go_live":
            return f"{one.share:g}" == action["new_value"]
        case _:
            return bool(one.state == action["new_value"])


def describe(action: Mapping[str, Any]) -> str:
    """An action for people: "promote 1 → 2", or "end experiment 2-against-1-no1: running → promoted"."""
    return f"{action['action'].replace('_', ' ')} {describe_change(action)}"


def describe_change(action: Mapping[str, Any]) -> str:
    """What an action changes: "1 → 2", or "2-against-1-no1: running → promoted"; of something new, what it is."""
    change = f"{action['old_value']} → {action['new_value']}" if action["old_value"] else ""
    about = action["experiment"] or ("" if change else f"version {action['version']}")
    return ": ".join(part for part in (about, change) if part)
