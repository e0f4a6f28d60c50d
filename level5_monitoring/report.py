"""What `make level5` prints about the decisions of the year, read from the tables at the end."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from level4_deployment.control import audit
from level4_deployment.experiment import experiment_store
from level5_monitoring import config
from level5_monitoring.false_alarms import false_alarms
from level5_monitoring.loop import loop_store, outbox, policy
from level5_monitoring.monitors.monitor_result import MonitorResult, in_words
from level5_monitoring.policy_comparison import Effort
from shared.console import show_table
from shared.settings import Settings

PEOPLE = ("operator", audit.REGISTRY)  # actors on the platform that are a person: by command, or in the registry itself


@dataclass(frozen=True)
class YearSummary:
    """The year's decisions, counted. alarms, kinds, alerts, drift: counts by name, as text.

    false_alarms: each, and what followed, as text.
    """

    days: int
    monitor_results: int
    promoted: int
    effort: Effort
    alarms: str
    false_alarms: str
    kinds: str
    alerts: str
    drift: str


def show_decisions(settings: Settings) -> YearSummary:
    """Print each decision that changed something, with the version that came of it; returns the counts."""
    with config.open_log(settings) as log:
        decisions, results, alerts = loop_store.decisions(log), loop_store.monitor_results(log), outbox.alerts(log)
        tried, actions, undelivered = experiment_store.find(log), audit.trail(log), outbox.undelivered(log)
    acted = [one for one in decisions if one["kind"] not in ("no_action", "notify", "defer")]
    rows = [
        [
            one["day"],
            in_words(one["kind"]),
            in_words(one["cause"]),
            str(one["result"].get("version", "")),
            one["reason"],
        ]
        for one in acted
    ]
    show_table("Decisions that changed something", ["Day", "Decision", "Cause", "Version", "Reason"], rows, detail=True)
    done = Counter(one["kind"] for one in acted if not one["result"].keys() & {policy.REFUSED, policy.FAILED})
    trained = sum(one["kind"] == "retrain" and policy.FAILED not in one["result"] for one in acted)
    alarms = [one for one in results if one.state == "alarm"]
    false = false_alarms(results)
    return YearSummary(
        days=len(decisions),
        monitor_results=len(results),
        promoted=done["promote"],
        effort=Effort(
            trainings=1 + trained,
            steps=sum(act["actor"] in PEOPLE for act in actions),
            alerts=len(alerts),
            false_alarms=len(false),
        ),
        alarms=_counts(in_words(one.monitor) for one in alarms),
        false_alarms="; ".join(what_followed(one, acted, tried) for one in false) or "none",
        kinds=_counts(in_words(one["kind"]) for one in decisions),
        alerts=f"{_counts(one.severity for one in alerts)}; {len(alerts) - undelivered} of {len(alerts)} delivered",
        drift=_counts((one.target for one in alarms if one.monitor == "drift"), most=3),
    )


def _counts(names: Iterable[str], most: int | None = None) -> str:
    return ", ".join(f"{name} {count}" for name, count in Counter(names).most_common(most))


def what_followed(alarm: MonitorResult, acted: list[dict[str, Any]], tried: list[experiment_store.Experiment]) -> str:
    """A false alarm in words, and what the challenger was worth whose training it led to.

    acted: the decisions. tried: the experiments.
    """
    named = f"{in_words(alarm.monitor)} of {alarm.described_target} on {alarm.day}"
    trained = [one for one in acted if _led_to(alarm, one)]
    version = trained[0]["result"].get("version") if trained else None
    verdict = next((one.verdict for one in tried if one.challenger == version), None)
    if not trained:
        return f"{named}, no retraining"
    if verdict is None or verdict.mean is None:
        return f"{named}, challenger undecided"
    better = "better" if verdict.mean > 0 else "not better"
    return f"{named}, challenger {better}: {verdict.mean:+.4f} nats per flight, z {verdict.z:.1f}"


def _led_to(alarm: MonitorResult, decision: dict[str, Any]) -> bool:
    """Whether a decision is the retraining that this alarm, or its continuation on a later day, led to."""
    keys = {MonitorResult(**one).alarm_key for one in decision["evidence"]}
    return decision["cause"] == "performance" and decision["day"] >= alarm.day and alarm.alarm_key in keys
