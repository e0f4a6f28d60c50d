"""What the policy must know of the days before: from the tables alone, so that a restart knows the same."""

import json

import sqlalchemy as sa

from level4_deployment.control import audit
from level4_deployment.experiment import experiment_store
from level4_deployment.prediction_log import EXPERIMENT_DAYS
from level5_monitoring.loop.alerts import ended_key
from level5_monitoring.loop.loop_store import ALERTS, DECISIONS, MONITOR_RESULTS, load
from level5_monitoring.loop.policy import DATA, FAILED, LABELS, EndedExperiment, PolicyState


def load_policy_state(log: sa.Engine, day: str) -> PolicyState:
    """What was before `day`: from the tables alone, decisions of earlier days, and experiments as they stand."""
    before = DECISIONS.c.day < day
    acts = sa.select(DECISIONS.c.day, DECISIONS.c.kind, DECISIONS.c.target, DECISIONS.c.result)
    acts = acts.where(before, DECISIONS.c.kind.in_(["retrain", "roll_back"])).order_by(DECISIONS.c.day)
    newest = sa.select(DECISIONS.c.cause, DECISIONS.c.alarms).where(before).order_by(DECISIONS.c.day.desc()).limit(1)
    begun = sa.select(sa.func.min(DECISIONS.c.day)).where(before)
    announced = sa.select(ALERTS.c.key).where(ALERTS.c.key.like("ended-%"))
    with log.connect() as connection:
        done = [act for act in connection.execute(acts) if FAILED not in json.loads(act.result or "{}")]
        last = connection.execute(newest).first()
        first = connection.execute(begun).scalar()
        told = set(connection.execute(announced).scalars())
    all_of_them = experiment_store.find(log)
    running = [one for one in all_of_them if one.state in (experiment_store.RUNNING, experiment_store.APPROVAL)]
    over = [one for one in all_of_them if one not in running and ended_key(one.experiment) not in told]
    tied = "" if running else _tied(log, all_of_them, day)
    name = running[0].experiment if running else tied
    return PolicyState(
        alarms=load(last.alarms) if last else (),
        begun=first or "",
        trainings=tuple(act.day for act in done if act.kind == "retrain"),
        experiment=running[0].experiment if running else "",
        tied=tied,
        waits=bool(running) and running[0].state == experiment_store.APPROVAL,
        suspect_days=_doubted(log, name, day) if name else (),
        rolled_back=tuple(act.target for act in done if act.kind == "roll_back"),
        cause=last.cause if last else "",
        ended=tuple(_ended(log, one, day) for one in over),
    )


def _ended(log: sa.Engine, one: experiment_store.Experiment, day: str) -> EndedExperiment:
    today = day in set(experiment_store.days_of(log, one.experiment)["day"])
    return EndedExperiment(
        one.experiment, one.challenger, one.state, one.reason, _doubted(log, one.experiment, day), today
    )


def _tied(log: sa.Engine, tried: list[experiment_store.Experiment], day: str) -> str:
    """The newest experiment, if it ended undecided with a gain above 0, and nothing has followed from that yet."""
    if not tried or tried[-1].state != experiment_store.INCONCLUSIVE:
        return ""
    name, gains = (
        tried[-1].experiment,
        experiment_store.days_of(log, tried[-1].experiment)["mean_loss_difference"].dropna(),
    )
    moves = audit.moves(log)
    followed = not moves or moves[-1]["version"] != tried[-1].champion
    before = sa.select(DECISIONS.c.result).where(DECISIONS.c.day < day, DECISIONS.c.target == name)
    with log.connect() as connection:
        results = connection.execute(before).scalars()
        decided = any(FAILED not in json.loads(result or "{}") for result in results)
    return "" if followed or decided or not gains.mean() > 0 else name


def _doubted(log: sa.Engine, experiment: str, day: str) -> tuple[str, ...]:
    """The days before `day` that an experiment has counted, and whose data or labels were in alarm."""
    counted = sa.select(EXPERIMENT_DAYS.c.day).where(EXPERIMENT_DAYS.c.experiment == experiment)
    alarm = (
        MONITOR_RESULTS.c.monitor.in_([*DATA, *LABELS])
        & (MONITOR_RESULTS.c.state == "alarm")
        & (MONITOR_RESULTS.c.day < day)
    )
    query = (
        sa.select(MONITOR_RESULTS.c.day)
        .distinct()
        .where(alarm, MONITOR_RESULTS.c.day.in_(counted))
        .order_by(MONITOR_RESULTS.c.day)
    )
    with log.connect() as connection:
        return tuple(connection.execute(query).scalars())
