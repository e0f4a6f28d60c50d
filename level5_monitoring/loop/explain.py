"""`make explain DECISION=2013-05-06`: the decision of a day, its evidence, and what followed."""

from dataclasses import dataclass
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


@dataclass(frozen=True)
class Explanation:
    """A row of DECISIONS with all monitor results and alerts of its day.

    experiment: that it led to, or was about. actions: of the audit trail, about that experiment or the versions.
    """

    decision: dict[str, Any]
    evidence: list[MonitorResult]
    results: list[MonitorResult]
    alerts: list[Alert]
    experiment: experiment_store.Experiment | None
    actions: list[dict[str, Any]]


def explain(log: sa.Engine, day: str) -> Explanation:
    """Read everything on record about the decision of a day; raises UserError where there is none."""
    decisions = loop_store.decisions(log)
    decision = next((one for one in decisions if one["day"] == day), None)
    if decision is None:
        if not decisions:
            raise UserError(f"DECISION={day!r}: no decision is on record yet. Remedy: make level5.")
        days = f"{len(decisions)} are on record, {decisions[0]['day']} to {decisions[-1]['day']}"
        raise UserError(f"DECISION={day!r}: no decision; {days}. Remedy: DECISION=YYYY-MM-DD, one of these days.")
    result = decision["result"]
    name = result.get("experiment") or decision["experiment"]
    experiment = next((one for one in experiment_store.find(log) if one.experiment == name), None)
    versions = {result.get("version"), decision["version"], experiment and experiment.challenger} - {None}
    about_it = AUDIT.c.version.in_(versions) | (AUDIT.c.experiment == name)
    return Explanation(
        decision=decision,
        evidence=[MonitorResult(**one) for one in decision["evidence"]],
        results=loop_store.monitor_results(log, day),
        alerts=outbox.alerts(log, day),
        experiment=experiment,
        actions=audit.trail(log, about_it),
    )


def show(explained: Explanation) -> None:
    """Print the decision, its evidence, and what followed."""
    decision, experiment = explained.decision, explained.experiment
    facts = {"decision": in_words(decision["kind"]), "reason": decision["reason"], "state": decision["state"]}
    facts |= {str(name): str(value) for name, value in decision["result"].items()}
    if experiment:
        facts["experiment"] = f"{experiment.experiment}, {experiment.state}: {experiment.reason}"
    show_table(f"Decision of {decision['day']}", ["", ""], [[name, value] for name, value in facts.items()])
    evidence = [
        [
            in_words(one.monitor),
            one.described_target,
            one.state,
            figure(one.value),
            figure(one.threshold),
            f"{one.rows:,}",
        ]
        for one in explained.evidence
    ]
    if evidence:
        show_table("Evidence", ["monitor", "target", "state", "value", "threshold", "rows"], evidence)
    if explained.results:
        show_table("All monitors of the day", ["monitor", *STATES, "in alarm"], _by_monitor(explained.results))
    if not evidence:
        console.print("No single monitor result led to it.")
    if explained.alerts:
        alerts = [[alert.severity, alert.title, alert.text] for alert in explained.alerts]
        show_table("Alerts", ["severity", "alert", "text"], alerts)
    if explained.actions:
        actions = [
            [in_words(one["action"]), audit.describe_change(one), one["actor"], in_words(one["status"]), one["reason"]]
            for one in explained.actions
        ]
        show_table("Actions taken", ["action", "change", "actor", "status", "reason"], actions)


def _by_monitor(results: list[MonitorResult]) -> list[list[str]]:
    """A row for each monitor: how many of its results have which state, and the targets in alarm."""
    rows = []
    for monitor in dict.fromkeys(result.monitor for result in results):
        own = [result for result in results if result.monitor == monitor]
        counts = [str(sum(result.state == state for result in own)) for state in STATES]
        alarms = ", ".join(result.described_target for result in own if result.state == "alarm")
        rows.append([in_words(monitor), *counts, alarms])
    return rows


def show_decision(day: str) -> None:
    """Print everything on record about the decision of a day (YYYY-MM-DD)."""
    settings = config.configure()
    with step("Read the record"):
        explained = explain(config.open_log(settings), day)
    show(explained)
