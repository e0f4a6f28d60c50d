"""What happened in the year: trainings, experiments, promotions, what people were told, faults that were injected."""

import json
from bisect import bisect_right
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from level4_deployment.experiment import experiment_store
from level5_monitoring import tables
from level5_monitoring.loop.alerts import alarm_title, deferred_title
from level5_monitoring.loop.policy import FAILED, REFUSED
from level5_monitoring.monitors.monitor_result import in_words

KINDS = {
    "training": "Trainings",
    "experiment": "Experiments",
    "promotion": "Promotions",
    "alert": "Alerts",
    "note": "Notes",
    "fault": "Faults",
}
FAULTS_FILE = "faults.json"  # what was injected into the live demo, when, and until when


@dataclass(frozen=True)
class Event:
    """Something that began on `day` (and went on to `until`). state: "good", "bad" or "", as a person would call it.

    facts: what to know of it; findings: the evidence, as dicts of Finding.
    """

    kind: str
    day: str
    title: str
    text: str
    state: str = ""
    until: str = ""
    facts: dict[str, str] = field(default_factory=dict)
    findings: list[dict[str, Any]] = field(default_factory=list)


def read_events(log: sa.Engine, decisions: list[dict[str, Any]], asked: dict[str, float], home: Path) -> list[Event]:
    """All events, oldest first. asked: the machine's clock at the first flight of each day, which dates acts."""
    found = [
        *_trainings(decisions),
        *_experiments(log),
        *_moves(log, asked),
        *_alerts(log, decisions),
        *_faults(home, max(asked, default="")),
    ]
    return sorted(found, key=lambda event: event.day)


def day_of(at: float, asked: dict[str, float]) -> str:
    """The day that was being predicted when the machine's clock was `at`; the first one before that."""
    days = sorted(asked)
    return days[max(bisect_right(days, at, key=asked.__getitem__) - 1, 0)] if days else ""


def champion(log: sa.Engine, asked: dict[str, float]) -> dict[str, Any]:
    """The model in production: `version`, `since`, `before` and `why`; empty before the first."""
    moves = [act for act in experiment_store.moves(log) if act["new_value"]]
    if not moves:
        return {}
    last = moves[-1]
    since = day_of(last["at"], asked)
    return {"version": last["new_value"], "since": since, "previous": last["old_value"] or "", "why": last["reason"]}


def _trainings(decisions: list[dict[str, Any]]) -> list[Event]:
    found = []
    for one in decisions:
        if one["kind"] == "retrain":
            result = {str(name): str(value) for name, value in one["result"].items()}
            title = f"Training decided upon: {one['cause']}"
            state = "bad" if result.keys() & {REFUSED, FAILED} else ""
            found.append(Event("training", one["day"], title, one["reason"], state, "", result, one["evidence"]))
    return found


def _experiments(log: sa.Engine) -> list[Event]:
    days = experiment_store.DAYS
    query = sa.select(days.c.experiment, sa.func.min(days.c.day), sa.func.max(days.c.day), sa.func.sum(days.c.flights))
    with log.connect() as connection:
        spans = {name: rest for name, *rest in connection.execute(query.group_by(days.c.experiment))}
    found = []
    for one in experiment_store.find(log):
        if one.experiment not in spans:
            continue  # no day of it is closed: there is nothing to place it by
        first, last, flights = spans[one.experiment]
        facts = {
            "state": one.state,
            "flights with both scores and an outcome": f"{flights or 0:,}",
            "share of the challenger": f"{one.plan.share:.0%} of flights from {one.live_from} on"
            if one.live_from
            else "none, only in shadow",
            "submitted by": one.submitted_by,
        }
        state = {experiment_store.PROMOTED: "good", experiment_store.REJECTED: "bad", experiment_store.ABORTED: "bad"}
        title = f"Version {one.challenger} against {one.champion}: {one.state}"
        found.append(Event("experiment", first, title, one.reason, state.get(one.state, ""), last, facts))
    return found


def _moves(log: sa.Engine, asked: dict[str, float]) -> list[Event]:
    found = []
    for act in experiment_store.moves(log):
        verb, state = ("promoted", "good") if act["action"] == experiment_store.PROMOTE else ("brought back", "bad")
        facts = {"by": act["actor"], "before": act["old_value"] or "none"}
        title = f"Version {act['new_value'] or 'before'} {verb}"
        found.append(Event("promotion", day_of(act["at"], asked), title, act["reason"], state, "", facts))
    return found


def _alerts(log: sa.Engine, decisions: list[dict[str, Any]]) -> list[Event]:
    decided, proof = {one["day"]: one for one in decisions}, _evidence(decisions)
    query = sa.select(tables.ALERTS).order_by(tables.ALERTS.c.day, tables.ALERTS.c.number)
    with log.connect() as connection:
        rows = connection.execute(query).mappings().all()
    found = []
    for row in rows:
        facts = {
            "severity": row["severity"],
            "delivered": "yes" if row["delivered"] else f"not yet {row['error'] or ''}",
        }
        if row["severity"] == "page" and row["day"] in decided:
            facts["decision of the day"] = f"{decided[row['day']]['kind']}: {decided[row['day']]['reason']}"
        kind = "note" if row["severity"] == "info" else "alert"
        title = row["title"][:1].upper() + row["title"][1:]
        state = "bad" if row["severity"] == "page" else ""
        findings = proof.get((row["day"], row["title"]), [])
        found.append(Event(kind, row["day"], title, row["text"], state, "", facts, findings))
    return found


def _evidence(decisions: list[dict[str, Any]]) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """By day and title of an alert: the alarms of that monitor which were new that day, or what led to the act."""
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    before: set[tuple[str, str]] = set()
    for one in decisions:
        found[one["day"], in_words(one["kind"])] = one["evidence"]
        found[one["day"], deferred_title(one["cause"])] = one["evidence"]
        for alarm in one["alarms"]:
            if (alarm["monitor"], alarm["target"]) not in before:
                found.setdefault((one["day"], alarm_title(alarm["monitor"])), []).append(alarm)
        before = {(alarm["monitor"], alarm["target"]) for alarm in one["alarms"]}
    return found


def _faults(home: Path, today: str) -> list[Event]:
    file = home / FAULTS_FILE
    kept = json.loads(file.read_text())["faults"] if file.exists() else []
    found = []
    for one in kept:
        lifted = f"lifted on {one['until']}" if one["until"] else "still on"
        until = max(one["until"] or today, one["day"])
        found.append(
            Event("fault", one["day"], f"Fault injected: {one['what']}", f"{one['size']}; {lifted}", "bad", until)
        )
    return found
