"""The state that the policy decides from: read from the tables alone, so that a restart reads the same."""

from typing import Any

import sqlalchemy as sa

from level4_deployment.control import audit
from level4_deployment.experiment import experiment_store
from level4_deployment.experiment.experiment_store import APPROVAL, INCONCLUSIVE, RUNNING, Experiment
from level5_monitoring.loop import loop_store, outbox
from level5_monitoring.loop.accept import AcceptedCode, accepted_codes
from level5_monitoring.loop.policy import (
    DATA,
    FAILED,
    LABELS,
    EndedExperiment,
    PolicyState,
    evidence_of_doubt,
)
from level5_monitoring.monitors.monitor_result import MonitorResult
from level5_monitoring.tables import MONITOR_RESULTS


def load_policy_state(log: sa.Engine, day: str) -> PolicyState:
    """The state before `day`: from decisions of earlier days, and the experiments as they are now."""
    before = [one for one in loop_store.decisions(log) if one["day"] < day]
    newest = loop_store.find_decision(log, before[-1]["day"]) if before else None
    done = [one for one in before if FAILED not in one["result"]]
    retrained = [one for one in done if one["kind"] == "retrain"]
    champion = (audit.last_move(log) or {}).get("version", 0)
    accepted = accepted_codes(log)
    in_doubt = _in_doubt(log, before, accepted)
    suspect = {one.day for one in in_doubt}
    experiments = experiment_store.find(log)
    running = next((one for one in experiments if one.state in (RUNNING, APPROVAL)), None)
    promoted_from = {one["experiment"] for one in done if one["kind"] == "promote"}
    non_inferior = "" if running else _non_inferior(log, experiments, promoted_from)
    name = running.experiment if running else non_inferior
    announced = {alert.subject for alert in outbox.alerts(log) if alert.kind == "experiment_ended"}
    return PolicyState(
        alarms=newest.alarms if newest else (),
        accepted=tuple(one.target for one in newest.alarms if _is_accepted(one, accepted)) if newest else (),
        first_day=before[0]["day"] if before else "",
        retrainings=tuple(one["day"] for one in retrained),
        champion_trained=max((one["day"] for one in retrained if one["result"].get("version") == champion), default=""),
        running_experiment=running.experiment if running else "",
        awaits_approval=running is not None and running.state == APPROVAL,
        non_inferior_experiment=non_inferior,
        suspect_days=_suspect_days(log, name, suspect) if name else (),
        rolled_back=tuple(one["version"] for one in done if one["kind"] == "roll_back"),
        last_cause=newest.cause if newest else "",
        in_doubt=in_doubt,
        ended=tuple(
            _ended(log, one, day, suspect)
            for one in experiments
            if one.state not in (RUNNING, APPROVAL) and one.experiment not in announced
        ),
    )


def _is_accepted(alarm: MonitorResult, accepted: list[AcceptedCode]) -> bool:
    """Whether an alarm is of a code that a person has accepted since."""
    codes = [one for one in accepted if ("contract", one.name) == (alarm.monitor, alarm.target)]
    return any(one.since <= alarm.day <= one.until for one in codes)


def _in_doubt(
    log: sa.Engine, decisions: list[dict[str, Any]], accepted: list[AcceptedCode]
) -> tuple[MonitorResult, ...]:
    """Of each day with an active alarm of data or labels that was not accepted, the result that shows it."""
    active = {}
    for one in decisions:
        alarms = (MonitorResult(**alarm) for alarm in one["alarms"] if alarm["monitor"] in (*DATA, *LABELS))
        if suspicious := [alarm for alarm in alarms if not _is_accepted(alarm, accepted)]:
            active[one["day"]] = suspicious
    table = MONITOR_RESULTS.c
    results = loop_store.select_results(log, table.monitor.in_([*DATA, *LABELS]) & table.day.in_([*active]))
    found = (evidence_of_doubt(active[day], [one for one in results if one.day == day]) for day in active)
    return tuple(one for one in found if one)


def _ended(log: sa.Engine, one: Experiment, day: str, suspect: set[str]) -> EndedExperiment:
    suspect_days = _suspect_days(log, one.experiment, suspect)
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


def _suspect_days(log: sa.Engine, experiment: str, suspect: set[str]) -> tuple[str, ...]:
    """The days that an experiment counted although an alarm of their data or labels was active."""
    return tuple(sorted(suspect & set(experiment_store.days_of(log, experiment)["day"])))
