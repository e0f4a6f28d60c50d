"""The state that the policy decides from: read from the tables alone, so that a restart reads the same."""

import json

import sqlalchemy as sa

from level4_deployment.control import audit
from level4_deployment.experiment import experiment_store
from level4_deployment.experiment.experiment_store import APPROVAL, INCONCLUSIVE, RUNNING, Experiment
from level4_deployment.prediction_log import EXPERIMENT_DAYS
from level5_monitoring.loop import loop_store
from level5_monitoring.loop.accept import accepted_codes
from level5_monitoring.loop.loop_store import find_decision
from level5_monitoring.loop.policy import DATA, FAILED, LABELS, EndedExperiment, PolicyState
from level5_monitoring.monitors.monitor_result import MonitorResult
from level5_monitoring.tables import ALERTS, DECISIONS, MONITOR_RESULTS


def load_policy_state(log: sa.Engine, day: str) -> PolicyState:
    """The state before `day`: from decisions of earlier days, and the experiments as they are now."""
    table = DECISIONS.c
    wanted = (table.day, table.kind, table.experiment, table.version, table.result)
    with log.connect() as connection:
        before = connection.execute(sa.select(*wanted).where(table.day < day).order_by(table.day)).all()
        ended = sa.select(ALERTS.c.subject).where(ALERTS.c.kind == "experiment_ended")
        announced = set(connection.execute(ended).scalars())
    newest = find_decision(log, before[-1].day) if before else None
    done = [one for one in before if FAILED not in json.loads(one.result or "{}")]
    experiments = experiment_store.find(log)
    running = next((one for one in experiments if one.state in (RUNNING, APPROVAL)), None)
    retrained = [one for one in done if one.kind == "retrain"]
    champion = (audit.last_move(log) or {}).get("version", 0)
    promoted_from = {one.experiment for one in done if one.kind == "promote"}
    non_inferior = "" if running else _non_inferior(log, experiments, promoted_from)
    name = running.experiment if running else non_inferior
    return PolicyState(
        alarms=newest.alarms if newest else (),
        first_day=before[0].day if before else "",
        retrainings=tuple(one.day for one in retrained),
        champion_trained=max((one.day for one in retrained if _version(one.result) == champion), default=""),
        running_experiment=running.experiment if running else "",
        awaits_approval=running is not None and running.state == APPROVAL,
        non_inferior_experiment=non_inferior,
        suspect_days=_suspect_days(log, name, day) if name else (),
        rolled_back=tuple(one.version for one in done if one.kind == "roll_back"),
        last_cause=newest.cause if newest else "",
        in_doubt=_in_doubt(log, day),
        ended=tuple(
            _ended(log, one, day)
            for one in experiments
            if one.state not in (RUNNING, APPROVAL) and one.experiment not in announced
        ),
    )


def _version(result: str | None) -> int | None:
    """The version that came of a retraining, by the decision's result."""
    found: int | None = json.loads(result or "{}").get("version")
    return found


def _ended(log: sa.Engine, one: Experiment, day: str) -> EndedExperiment:
    suspect_days = _suspect_days(log, one.experiment, day)
    counts_today = day in set(experiment_store.days_of(log, one.experiment)["day"])
    return EndedExperiment(one.experiment, one.challenger, one.state, one.reason, suspect_days, counts_today)


def _non_inferior(log: sa.Engine, experiments: list[Experiment], promoted_from: set[str]) -> str:
    """The newest experiment, if its verdict shows non-inferiority only, and its champion still is the champion.

    Not one from which a promotion was decided already: a refused one is not tried again.
    """
    newest = experiments[-1] if experiments else None
    if newest is None or newest.state != INCONCLUSIVE or newest.experiment in promoted_from:
        return ""
    last = audit.last_move(log)
    replaced = not last or last["version"] != newest.champion
    shown = newest.verdict is not None and newest.verdict.non_inferior
    return newest.experiment if shown and not replaced else ""


def _suspect_days(log: sa.Engine, experiment: str, day: str) -> tuple[str, ...]:
    """The days before `day` that an experiment counted although their data or labels were in alarm."""
    counted = sa.select(EXPERIMENT_DAYS.c.day).where(EXPERIMENT_DAYS.c.experiment == experiment)
    query = sa.select(MONITOR_RESULTS.c.day).distinct().where(_in_alarm(day), MONITOR_RESULTS.c.day.in_(counted))
    with log.connect() as connection:
        return tuple(connection.execute(query.order_by(MONITOR_RESULTS.c.day)).scalars())


def _in_alarm(before: str) -> sa.ColumnElement[bool]:
    """The results of earlier days by which their data or labels are in doubt."""
    table = MONITOR_RESULTS.c
    return table.monitor.in_([*DATA, *LABELS]) & (table.state == "alarm") & (table.day < before)


def _in_doubt(log: sa.Engine, day: str) -> tuple[MonitorResult, ...]:
    """The first such result of each day before `day`, oldest first; not those of a code that was accepted since."""
    accepted = accepted_codes(log)
    results = [
        result
        for result in loop_store.select_results(log, _in_alarm(day))
        if not any(result.target == one.name and one.since <= result.day <= one.until for one in accepted)
    ]
    return tuple({one.day: one for one in reversed(results)}.values())[::-1]
