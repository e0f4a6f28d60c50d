"""`make explain DECISION=2013-05-06`: the decision of a day, its evidence, and what followed."""

import sys
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from level4_deployment.experiment import experiment_store
from level5_monitoring import config
from level5_monitoring.loop import loop_store, outbox
from level5_monitoring.loop.alerts import Alert
from level5_monitoring.loop.policy import figure
from level5_monitoring.monitors.monitor_result import MonitorResult, in_words
from shared.console import console, show_table, step
from shared.errors import UserError, command

STATES = ("ok", "alarm", "insufficient data")


@dataclass(frozen=True)
class Explanation:
    """A row of DECISIONS with all monitor results and alerts of its day.

    experiment: that it led to, or was about. acts: of the audit trail, about that experiment or the versions.
    """

    decision: dict[str, Any]
    evidence: list[MonitorResult]
    results: list[MonitorResult]
    alerts: list[Alert]
    experiment: experiment_store.Experiment | None
    acts: list[dict[str, Any]]


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
    versions = {result.get("version"), decision["version"], experiment and experiment.challenger}
    about = {str(one) for one in {name, *versions} if one}
    fields = ("old_value", "new_value", "experiment", "version")
    return Explanation(
        decision=decision,
        evidence=[MonitorResult(**one) for one in decision["evidence"]],
        results=loop_store.monitor_results(log, day, day),
        alerts=outbox.alerts(log, day),
        experiment=experiment,
        acts=[act for act in experiment_store.acts(log) if about & {str(act.get(field)) for field in fields}],
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
    if explained.acts:
        show_table("Actions taken", ["action", "change", "actor", "status", "reason"], _acts(explained.acts))


def _by_monitor(results: list[MonitorResult]) -> list[list[str]]:
    """A row for each monitor: how many of its results have which state, and the targets in alarm."""
    rows = []
    for monitor in dict.fromkeys(result.monitor for result in results):
        own = [result for result in results if result.monitor == monitor]
        counts = [str(sum(result.state == state for result in own)) for state in STATES]
        alarms = ", ".join(result.described_target for result in own if result.state == "alarm")
        rows.append([in_words(monitor), *counts, alarms])
    return rows


def _acts(acts: list[dict[str, Any]]) -> list[list[str]]:
    words = {experiment_store.OPEN: "open", experiment_store.DONE: "done", experiment_store.CUT_OFF: "cut off"}
    return [
        [
            in_words(act["action"]),
            f"{act['old_value'] or 'none'} → {act['new_value'] or 'none'}",
            act["actor"],
            words[act["status"]],
            act["reason"],
        ]
        for act in acts
    ]


def show_decision(day: str) -> None:
    """Print everything on record about the decision of a day (YYYY-MM-DD)."""
    settings = config.configure()
    with step("Read the record"):
        explained = explain(config.open_log(settings), day)
    show(explained)


def main() -> None:
    """Read the day from the command line."""
    if len(sys.argv) != 2:
        raise UserError("which decision? Give its day: make explain DECISION=2013-05-06")
    show_decision(sys.argv[1])


if __name__ == "__main__":
    command(main)
