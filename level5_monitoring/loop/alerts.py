"""Who is told what, of decisions and of what came of them: pure. An alarm is told as it begins, and when it is over."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

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
    name_of,
)

Severity = Literal["page", "ticket", "info"]
SEVERITY: dict[str, Severity] = {"contract": "page", "volume": "page", "labels": "page"}  # others: info


@dataclass(frozen=True)
class Alert:
    """Something to tell a person, once; key: the same alert has the same one, whoever sends it."""

    key: str
    day: str
    severity: Severity
    title: str
    text: str


def alerts_of(decision: Decision, policy_state: PolicyState, within: str) -> list[Alert]:
    """What people are told: alarms that begin and that are over, acts, and what needs somebody. Nothing daily.

    within: whose state it is about (MLOPS_WORKSPACE), for commands that mend something.
    """
    now = {name_of(found): found for found in decision.alarms}
    before = {name_of(found): found for found in policy_state.alarms}
    began = [found for name, found in now.items() if name not in before]
    over = [found for name, found in before.items() if name not in now]
    alerts = []
    for monitor in sorted({found.monitor for found in began}):
        text = describe(by_monitor(began, monitor))
        alerts.append(_alert(decision.day, SEVERITY.get(monitor, "info"), f"{monitor} alarm begins", text))
    for monitor in sorted({found.monitor for found in over}):
        targets = ", ".join(found.target for found in by_monitor(over, monitor))
        alerts.append(_alert(decision.day, "info", f"{monitor} alarm is over", targets))
    alerts += [_ended(decision, one, within) for one in policy_state.ended]
    if decision.kind in ("retrain", "promote"):
        alerts.append(_alert(decision.day, "info", decision.kind, decision.reason))
    if decision.kind == "roll_back":
        alerts.append(_alert(decision.day, "page", decision.kind, decision.reason))
    if (
        decision.kind == "defer"
        and decision.cause in ("budget", "regression_vs_previous")
        and decision.cause != policy_state.cause
    ):
        alerts.append(_alert(decision.day, "ticket", f"held for {decision.cause}", decision.reason))
    return alerts


def _ended(decision: Decision, one: EndedExperiment, within: str) -> Alert:
    """That an experiment has ended; what it counted on days in doubt, today among them, a person must judge."""
    suspect_days, reason = one.suspect_days, one.reason
    if one.today and by_monitor(decision.alarms, *DATA, *LABELS):
        suspect_days = (*suspect_days, decision.day)
    severity: Severity = "ticket" if one.state == "aborted" or suspect_days else "info"
    if suspect_days:
        again = (
            f"MLOPS_WORKSPACE={within} make submit VERSION={one.challenger}, while the platform runs, tries it again"
        )
        reason += f"; but data or labels were in alarm on {', '.join(suspect_days)}: {again}"
    return Alert(ended_key(one.experiment), decision.day, severity, f"experiment {one.state}", reason)


def alerts_of_result(decision: Decision, result: Mapping[str, object]) -> list[Alert]:
    """What people are told of an act that came to nothing: nobody else will see to it."""
    severity: Severity = "page" if decision.kind in ("halt_experiment", "roll_back") else "ticket"
    return [
        _alert(decision.day, severity, f"{decision.kind} {word}", str(result[word]))
        for word in (REFUSED, FAILED)
        if word in result
    ]


def ended_key(experiment: str) -> str:
    """The key of the alert that an experiment has ended."""
    return f"ended-{experiment}"


def _alert(day: str, severity: Severity, title: str, text: str) -> Alert:
    return Alert(f"{day}-{title.replace(' ', '-')}", day, severity, title, text)
