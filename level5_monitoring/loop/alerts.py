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
PAGE_FOR = (*DATA, *LABELS)  # monitors whose alarm needs a person at once


@dataclass(frozen=True)
class Alert:
    """A message to people, delivered once. key: identifies it, whatever process sends it. title: unique in its day."""

    key: str
    day: str
    severity: Severity
    title: str
    text: str


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
        alerts.append(_alert(day, severity, alarm_title(monitor), describe(by_monitor(begun, monitor))))
    for monitor in sorted({alarm.monitor for alarm in over}):
        targets = ", ".join(alarm.described_target for alarm in by_monitor(over, monitor))
        alerts.append(_alert(day, "info", f"{in_words(monitor)} alarm is over", targets))
    alerts += [_ended(decision, one, workspace) for one in state.ended]
    if decision.kind in ("retrain", "promote", "roll_back"):
        severity = "page" if decision.kind == "roll_back" else "info"
        alerts.append(_alert(day, severity, in_words(decision.kind), decision.reason))
    needs_a_person = decision.kind == "defer" and decision.cause in ("budget", "regression_vs_previous")
    if needs_a_person and decision.cause != state.last_cause:
        alerts.append(_alert(day, "ticket", deferred_title(decision.cause), decision.reason))
    return alerts


def _ended(decision: Decision, one: EndedExperiment, workspace: str) -> Alert:
    """An experiment has ended. If it counted suspect days, today among them, a person must decide about it."""
    suspect_days, reason = one.suspect_days, one.reason
    if one.counts_today and by_monitor(decision.alarms, *DATA, *LABELS):
        suspect_days = (*suspect_days, decision.day)
    if suspect_days:
        command = f"MLOPS_WORKSPACE={workspace} make submit VERSION={one.challenger}"
        reason += f"; but data or labels were in alarm on {', '.join(suspect_days)}"
        reason += f": {command}, while the platform runs, repeats the experiment"
    severity: Severity = "ticket" if one.state == experiment_store.FAILED or suspect_days else "info"
    return Alert(ended_key(one.experiment), decision.day, severity, f"experiment {one.state}", reason)


def alerts_of_result(decision: Decision, result: Mapping[str, object]) -> list[Alert]:
    """The alerts about an act that was refused or failed: a person must see to it."""
    severity: Severity = "page" if decision.kind in ("stop_experiment", "roll_back") else "ticket"
    return [
        _alert(decision.day, severity, f"{in_words(decision.kind)} {outcome}", str(result[outcome]))
        for outcome in (REFUSED, FAILED)
        if outcome in result
    ]


def ended_key(experiment: str) -> str:
    """The key of the alert that an experiment has ended."""
    return f"ended-{experiment}"


def alarm_title(monitor: str) -> str:
    """The title of the alert that an alarm begins."""
    return f"{in_words(monitor)} alarm begins"


def deferred_title(cause: str) -> str:
    """The title of the alert that an act is deferred."""
    return f"deferred: {in_words(cause)}"


def _alert(day: str, severity: Severity, title: str, text: str) -> Alert:
    return Alert(f"{day}-{title.replace(': ', '-').replace(' ', '-')}", day, severity, title, text)
