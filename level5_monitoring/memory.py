"""What the policy must know of the days before: from the tables alone, so that a restart knows the same."""

import json

import sqlalchemy as sa

from level4_deployment import experiments
from level5_monitoring.alerts import ended_key
from level5_monitoring.policy import DATA, FAILED, LABELS, Ended, Memory
from level5_monitoring.record import ALERTS, DECISIONS, FINDINGS, load


def remember(log: sa.Engine, day: str) -> Memory:
    """What was before `day`: from the tables alone, decisions of earlier days, and experiments as they stand."""
    before = DECISIONS.c.day < day
    acts = sa.select(DECISIONS.c.day, DECISIONS.c.kind, DECISIONS.c.target, DECISIONS.c.result)
    acts = acts.where(before, DECISIONS.c.kind.in_(["retrain", "roll back"])).order_by(DECISIONS.c.day)
    newest = sa.select(DECISIONS.c.cause, DECISIONS.c.alarms).where(before).order_by(DECISIONS.c.day.desc()).limit(1)
    begun = sa.select(sa.func.min(DECISIONS.c.day)).where(before)
    announced = sa.select(ALERTS.c.key).where(ALERTS.c.key.like("ended-%"))
    with log.connect() as connection:
        done = [act for act in connection.execute(acts) if FAILED not in json.loads(act.result or "{}")]
        last = connection.execute(newest).first()
        first = connection.execute(begun).scalar()
        told = set(connection.execute(announced).scalars())
    all_of_them = experiments.find(log)
    running = [one for one in all_of_them if one.state in (experiments.RUNNING, experiments.APPROVAL)]
    over = [one for one in all_of_them if one not in running and ended_key(one.experiment) not in told]
    tied = "" if running else _tied(log, all_of_them, day)
    name = running[0].experiment if running else tied
    return Memory(
        alarms=load(last.alarms) if last else (),
        begun=first or "",
        trainings=tuple(act.day for act in done if act.kind == "retrain"),
        experiment=running[0].experiment if running else "",
        tied=tied,
        waits=bool(running) and running[0].state == experiments.APPROVAL,
        doubted=_doubted(log, name, day) if name else (),
        rolled_back=tuple(act.target for act in done if act.kind == "roll back"),
        cause=last.cause if last else "",
        ended=tuple(_ended(log, one, day) for one in over),
    )


def _ended(log: sa.Engine, one: experiments.Experiment, day: str) -> Ended:
    today = day in set(experiments.days_of(log, one.experiment)["day"])
    return Ended(one.experiment, one.challenger, one.state, one.reason, _doubted(log, one.experiment, day), today)


def _tied(log: sa.Engine, tried: list[experiments.Experiment], day: str) -> str:
    """The newest experiment, if it ended undecided with a gain above 0, and nothing has followed from that yet."""
    if not tried or tried[-1].state != experiments.INCONCLUSIVE:
        return ""
    name, gains = tried[-1].experiment, experiments.days_of(log, tried[-1].experiment)["difference"].dropna()
    moves = [act for act in experiments.acts(log) if act["act"] in ("promote", "roll back")]
    followed = not moves or moves[-1]["after"] != str(tried[-1].champion)
    before = sa.select(DECISIONS.c.result).where(DECISIONS.c.day < day, DECISIONS.c.target == name)
    with log.connect() as connection:
        results = connection.execute(before).scalars()
        decided = any(FAILED not in json.loads(result or "{}") for result in results)
    return "" if followed or decided or not gains.mean() > 0 else name


def _doubted(log: sa.Engine, experiment: str, day: str) -> tuple[str, ...]:
    """The days before `day` that an experiment has counted, and whose data or labels were in alarm."""
    counted = sa.select(experiments.DAYS.c.day).where(experiments.DAYS.c.experiment == experiment)
    alarm = FINDINGS.c.monitor.in_([*DATA, *LABELS]) & (FINDINGS.c.state == "alarm") & (FINDINGS.c.day < day)
    query = sa.select(FINDINGS.c.day).distinct().where(alarm, FINDINGS.c.day.in_(counted)).order_by(FINDINGS.c.day)
    with log.connect() as connection:
        return tuple(connection.execute(query).scalars())
