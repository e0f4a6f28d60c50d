"""Alerts for people about decisions and their results: pure. An alarm gets one alert when it begins, one when it ends.

How alerts reach people is in `outbox`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from level4_deployment.experiment import experiment_store
from level5_monitoring.loop.policy import (
    DATA,
    FAILED,
    LABELS,
    REFUSED,
    Decision,
    EndedExperiment,
    PolicyState,
    by_monitor,
    describe,
)
from level5_monitoring.monitors.monitor_result import in_words

Severity = Literal["page", "ticket", "info"]
Kind = Literal["alarm_begins", "alarm_over", "experiment_ended", "decision", "result", "labels_stopped", "labels_back"]
PAGE_FOR = (*DATA, *LABELS)  # monitors whose alarm needs a person at once


@dataclass(frozen=True)
class Alert:
    """A message to people, delivered once. key: identifies it, whatever process sends it.

    kind: what happened; "result": of an act that was refused or failed. subject: the monitor whose alarm begins or is
    over, the experiment that has ended, or "".
    """

    key: str
    day: str
    severity: Severity
    title: str
    text: str
    kind: Kind
    subject: str = ""


def alerts_of(decision: Decision, state: PolicyState, workspace: str) -> list[Alert]:
    """The alerts about a decision: alarms that begin or end, ended experiments, acts. Nothing is repeated daily.

    workspace: whose state it is about (MLOPS_WORKSPACE), for the commands that an alert recommends.
    """
    day = decision.day
    now, before = ({alarm.alarm_key: alarm for alarm in one.alarms} for one in (decision, state))
    begun = [alarm for key, alarm in now.items() if key not in before]
    over = [alarm for key, alarm in before.items() if key not in now]
    alerts = []
    for monitor in sorted({alarm.monitor for alarm in begun}):
        severity: Severity = "page" if monitor in PAGE_FOR else "info"
        title, text = f"{in_words(monitor)} alarm begins", describe(by_monitor(begun, monitor))
        alerts.append(_alert(day, severity, title, text, ("alarm_begins", monitor)))
    for monitor in sorted({alarm.monitor for alarm in over}):
        targets = ", ".join(alarm.described_target for alarm in by_monitor(over, monitor))
        alerts.append(_alert(day, "info", f"{in_words(monitor)} alarm is over", targets, ("alarm_over", monitor)))
    alerts += [_ended(decision, one, workspace) for one in state.ended]
    if decision.kind in ("retrain", "promote", "roll_back"):
        severity = "page" if decision.kind == "roll_back" else "info"
        alerts.append(_alert(day, severity, in_words(decision.kind), decision.reason, ("decision", "")))
    needs_a_person = decision.kind == "defer" and decision.cause in ("budget", "regression_vs_previous")
    if needs_a_person and decision.cause != state.last_cause:
        title = f"deferred: {in_words(decision.cause)}"
        alerts.append(_alert(day, "ticket", title, decision.reason, ("decision", "")))
    return alerts


def _ended(decision: Decision, one: EndedExperiment, workspace: str) -> Alert:
    """An experiment has ended. If it counted suspect days, today among them, a person must decide about it."""
    suspect_days, reason = one.suspect_days, one.reason
    if one.counts_today and by_monitor(decision.alarms, *DATA, *LABELS):
        suspect_days = (*suspect_days, decision.day)
    if suspect_days:
        command = f"MLOPS_WORKSPACE={workspace} make submit VERSION={one.challenger}"
        reason = f"{reason.rstrip('.;')}; but data or labels were in alarm on {', '.join(suspect_days)}"
        reason += f": {command} tries it again, against the champion of now (without make up, first make monitor)"
    severity: Severity = "ticket" if one.state == experiment_store.FAILED or suspect_days else "info"
    key, title = f"ended-{one.experiment}", f"experiment {one.state}"
    return Alert(key, decision.day, severity, title, reason, "experiment_ended", one.experiment)


def alerts_of_result(decision: Decision, result: Mapping[str, object]) -> list[Alert]:
    """The alerts about an act that was refused or failed: a person must see to it."""
    severity: Severity = "page" if decision.kind in ("stop_experiment", "roll_back") else "ticket"
    return [
        _alert(decision.day, severity, f"{in_words(decision.kind)} {outcome}", str(result[outcome]), ("result", ""))
        for outcome in (REFUSED, FAILED)
        if outcome in result
    ]


def _alert(day: str, severity: Severity, title: str, text: str, about: tuple[Kind, str]) -> Alert:
    """about: kind and subject."""
    return Alert(f"{day}-{title.replace(': ', '-').replace(' ', '-')}", day, severity, title, text, *about)
