"""`make explain DECISION=2013-05-06`: what was decided on a day, on which evidence, and what followed."""

import sys
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from level4_deployment.control import audit
from level4_deployment.experiment import experiment_store
from level5_monitoring import config
from level5_monitoring.loop import loop_store
from level5_monitoring.loop.alerts import Alert
from level5_monitoring.monitors.monitor_result import MonitorResult
from shared.console import console, show_table, step
from shared.errors import UserError, command

STATES = ("ok", "alarm", "insufficient data")


@dataclass(frozen=True)
class Explanation:
    """A row of DECISIONS, all findings of its day, what people were told, and what followed.

    experiment: that it led to, or was about; acts: on it.
    """

    decision: dict[str, Any]
    findings: list[MonitorResult]
    alerts: list[Alert]
    experiment: experiment_store.Experiment | None
    acts: list[dict[str, Any]]


def explain(log: sa.Engine, day: str) -> Explanation:
    """Read all that is on record of a day's decision; raises UserError where there is none."""
    all_of_them = loop_store.decisions(log)
    decision = next((one for one in all_of_them if one["day"] == day), None)
    if decision is None:
        if not all_of_them:
            raise UserError(f"DECISION={day!r}: no decision is on record yet. Remedy: make level5.")
        days = f"{len(all_of_them)} are on record, {all_of_them[0]['day']} to {all_of_them[-1]['day']}"
        raise UserError(f"DECISION={day!r}: no decision; {days}. Remedy: DECISION=YYYY-MM-DD, one of these days.")
    result = decision["result"]
    everything = experiment_store.find(log)
    target = next((one.experiment for one in everything if one.experiment == decision["target"]), None)
    number, name = result.get("version"), result.get("experiment", target)
    tried = [
        one
        for one in everything
        if one.experiment == name or (name is None and number is not None and one.challenger == int(number))
    ]
    experiment = tried[-1] if tried else None
    versions = {experiment.challenger} if experiment else set()
    if number is not None:
        versions.add(int(number))
    by_it = f"decision of {day}:"
    acts = [
        act
        for act in audit.trail(log)
        if act["version"] in versions
        or (experiment and act["experiment"] == experiment.experiment)
        or act["reason"].startswith(by_it)
    ]
    return Explanation(
        decision, loop_store.monitor_results(log, day, day), loop_store.alerts(log, day), experiment, acts
    )


def show(explained: Explanation) -> None:
    """Print the decision, its evidence, and what followed."""
    decision, experiment = explained.decision, explained.experiment
    facts = {"decision": decision["kind"], "reason": decision["reason"], "state": decision["state"]}
    facts |= {str(name): str(value) for name, value in decision["result"].items()}
    if experiment:
        facts["experiment"] = f"{experiment.experiment}, {experiment.state}: {experiment.reason}"
    show_table(f"Decision of {decision['day']}", ["", ""], [[name, value] for name, value in facts.items()])
    evidence = [
        [
            one["monitor"],
            one["target"],
            one["state"],
            _figure(one["value"]),
            _figure(one["threshold"]),
            f"{one['rows']:,}",
        ]
        for one in decision["evidence"]
    ]
    if evidence:
        show_table("Evidence", ["monitor", "target", "state", "value", "threshold", "rows"], evidence)
    if explained.findings:
        show_table("All that was looked at", ["monitor", *STATES, "in alarm"], _looked_at(explained.findings))
    if not evidence:
        console.print("No single finding led to it.")
    if explained.alerts:
        told = [[alert.severity, alert.title, alert.text] for alert in explained.alerts]
        show_table("Told", ["severity", "alert", "text"], told)
    if explained.acts:
        acts = [
            [act["action"], audit.describe_change(act), act["actor"], act["status"], act["reason"]]
            for act in explained.acts
        ]
        show_table("What followed", ["action", "change", "actor", "state", "reason"], acts)


def _looked_at(findings: list[MonitorResult]) -> list[list[str]]:
    """A line for each monitor: how many of its findings were in which state, and the subjects in alarm."""
    lines = []
    for monitor in dict.fromkeys(found.monitor for found in findings):
        own = [found for found in findings if found.monitor == monitor]
        counts = [str(sum(found.state == state for found in own)) for state in STATES]
        lines.append([monitor, *counts, ", ".join(found.target for found in own if found.state == "alarm")])
    return lines


def main() -> None:
    """Read the day from the command line."""
    settings = config.configure()
    if len(sys.argv) != 2:
        raise UserError("which decision? Give its day: make explain DECISION=2013-05-06")
    with step("Look it up"):
        explained = explain(config.open_log(settings), sys.argv[1])
    show(explained)


def _figure(value: float | None) -> str:
    return "none" if value is None else f"{value:.4g}"


if __name__ == "__main__":
    command(main)
