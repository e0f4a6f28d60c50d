"""`make explain DECISION=2013-05-06`: the decision of a day, its evidence, and what followed."""

from textwrap import shorten
from typing import Any

import sqlalchemy as sa

from level4_deployment.control import audit
from level4_deployment.experiment import experiment_store
from level4_deployment.prediction_log import AUDIT
from level5_monitoring import config
from level5_monitoring.loop import loop_store, outbox
from level5_monitoring.loop.alerts import Alert
from level5_monitoring.loop.policy import figure
from level5_monitoring.monitors.monitor_result import MonitorResult, in_words
from shared.console import console, show_table, step
from shared.errors import UserError

STATES = ("ok", "alarm", "insufficient data")
LONGEST = 150  # characters of a reason: one of many alarms repeats what the evidence shows


def show_decision(day: str) -> None:
    """Print everything on record about the decision of a day (YYYY-MM-DD); raises UserError where there is none."""
    with config.open_log(config.configure()) as log:
        with step("Read the record"):
            decision = _decision_of(log, day)
        result = decision["result"]
        name = result.get("experiment") or decision["experiment"]
        experiment = next((one for one in experiment_store.find(log) if one.experiment == name), None)
        facts = {"decision": in_words(decision["kind"]), "reason": _in_short(decision["reason"])}
        facts["state"] = decision["state"]
        facts |= {str(name): str(value) for name, value in result.items()}
        if experiment:
            facts["experiment"] = f"{experiment.experiment}, {experiment.state}: {experiment.reason}"
        show_table(f"Decision of {day}", ["", ""], [[name, value] for name, value in facts.items()])
        _show_results(day, [MonitorResult(**one) for one in decision["evidence"]], loop_store.monitor_results(log, day))
        if alerts := [[alert.severity, alert.title, _text_of(alert)] for alert in outbox.alerts(log, day)]:
            show_table("Alerts", ["severity", "alert", "text"], alerts)
        versions = {result.get("version"), decision["version"], experiment and experiment.challenger} - {None}
        actions = [
            [_action(one), audit.describe_change(one), one["actor"], one["reason"]]
            for one in audit.trail(log, AUDIT.c.version.in_(versions) | (AUDIT.c.experiment == name))
        ]
        if actions:
            show_table("Actions taken", ["action", "change", "actor", "reason"], actions)


def _action(one: dict[str, Any]) -> str:
    status = "" if one["status"] == audit.DONE else f" ({in_words(one['status'])})"
    return f"{in_words(one['action'])}{status}"


def _text_of(alert: Alert) -> str:
    """Short where it repeats the evidence; the others may end with a command that helps."""
    return _in_short(alert.text) if alert.kind in ("alarm_begins", "decision") else alert.text


def _in_short(text: str) -> str:
    return shorten(text, LONGEST, placeholder=" …")


def _decision_of(log: sa.Engine, day: str) -> dict[str, Any]:
    if found := loop_store.decisions(log, day):
        return found[0]
    days = [one["day"] for one in loop_store.decisions(log)]
    if not days:
        raise UserError(f"DECISION={day!r}: no decision is on record yet. Remedy: make level5.")
    known = f"{len(days)} are on record, {days[0]} to {days[-1]}"
    raise UserError(f"DECISION={day!r}: no decision; {known}. Remedy: DECISION=YYYY-MM-DD, one of these days.")


def _show_results(day: str, evidence: list[MonitorResult], results: list[MonitorResult]) -> None:
    """The results that led to the decision, then all of the day."""
    if evidence:
        rows = []
        for one in evidence:
            state = one.state if one.day == day else f"{one.state} on {one.day}"
            figures = figure(one.value), figure(one.threshold), f"{one.rows:,}"
            rows.append([in_words(one.monitor), one.described_target, state, *figures])
        show_table("Evidence", ["monitor", "target", "state", "value", "threshold", "rows"], rows)
    if results:
        show_table("All monitors of the day", ["monitor", *STATES, "in alarm"], _by_monitor(results))
    if not evidence:
        console.print("No single monitor result led to it.")


def _by_monitor(results: list[MonitorResult]) -> list[list[str]]:
    """A row for each monitor: how many of its results have which state, and the targets in alarm."""
    rows = []
    for monitor in dict.fromkeys(result.monitor for result in results):
        own = [result for result in results if result.monitor == monitor]
        counts = [str(sum(result.state == state for result in own)) for state in STATES]
        first, *more = [result.described_target for result in own if result.state == "alarm"] or [""]
        rows.append([in_words(monitor), *counts, f"{first} and {len(more)} more" if more else first])
    return rows
