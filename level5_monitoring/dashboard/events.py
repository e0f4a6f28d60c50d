"""What happened in the year: trainings, experiments, promotions, alerts and injected faults, as the page lists them."""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pydantic
import sqlalchemy as sa

from level4_deployment.control import audit
from level4_deployment.experiment import experiment_store
from level4_deployment.prediction_log import EXPERIMENT_DAYS
from level5_monitoring.loop.policy import FAILED, REFUSED
from level5_monitoring.monitors.monitor_result import MonitorResult, in_words
from level5_monitoring.tables import ALERTS
from shared.files import keep_json, read_json

KINDS = {
    "training": "Trainings",
    "experiment": "Experiments",
    "promotion": "Promotions",
    "alert": "Alerts",
    "note": "Notes",
    "fault": "Faults",
}
STATE_OF = {
    experiment_store.PROMOTED: "good",
    experiment_store.REJECTED: "bad",
    experiment_store.FAILED: "bad",
}
FAULTS_FILE = "faults.json"


@dataclass(frozen=True)
class Event:
    """Something that began on `day` and lasted until `until`, or one day if that is "".

    kind: of KINDS. state: "good", "bad" or "". facts: by name. evidence: what led to it.
    """

    kind: str
    day: str
    title: str
    text: str
    state: str = ""
    until: str = ""
    facts: dict[str, str] = field(default_factory=dict)
    evidence: list[MonitorResult] = field(default_factory=list)


@pydantic.dataclasses.dataclass(frozen=True, config={"extra": "forbid"})
class InjectedFault:
    """A fault of `fault_injection.FAULTS` in the live demo, active from `day` to `until`, or still if that is "".

    number: its size, 1 to 3. what, size: the same in words.
    """

    fault: str
    number: int
    what: str
    size: str
    day: str
    until: str = ""


def read_faults(home: Path) -> list[InjectedFault]:
    """The faults that were injected, oldest first. home: this level's folder."""
    file = home / FAULTS_FILE
    try:
        return read_json(file, _injected, f"remove {file}: the faults that were injected are then forgotten")
    except FileNotFoundError:
        return []


def _injected(faults: list[dict[str, Any]]) -> list[InjectedFault]:
    return [InjectedFault(**one) for one in faults]


def write_faults(home: Path, faults: Iterable[InjectedFault]) -> None:
    """Keep the faults that were injected; nothing is written where the file holds just them."""
    keep_json(home / FAULTS_FILE, {"faults": [asdict(one) for one in faults]})


def read_events(log: sa.Engine, decisions: list[dict[str, Any]], asked: dict[str, float], home: Path) -> list[Event]:
    """All events, oldest first. asked: the machine's clock at the first prediction of each day, to date actions."""
    found = [
        *_trainings(decisions),
        *_experiments(log),
        *_promotions(log, asked),
        *_alerts(log, decisions),
        *_faults(home, today=max(asked, default="")),
    ]
    return sorted(found, key=lambda event: event.day)


def day_of(at: float, asked: dict[str, float]) -> str:
    """The day whose flights were being predicted when the machine's clock was `at`; before the first day, that day."""
    days = sorted(asked)
    return days[max(bisect_right(days, at, key=asked.__getitem__) - 1, 0)] if days else ""


def champion(log: sa.Engine, asked: dict[str, float]) -> dict[str, str]:
    """The model in production: its `version`, `since` (day) and `previous` version; empty before the first."""
    if not (last := audit.last_move(log)):
        return {}
    return {"version": str(last["version"]), "since": day_of(last["at"], asked), "previous": last["old_value"] or ""}


def _trainings(decisions: list[dict[str, Any]]) -> list[Event]:
    return [
        Event(
            "training",
            one["day"],
            f"Retraining: {in_words(one['cause'])}",
            one["reason"],
            state="bad" if one["result"].keys() & {REFUSED, FAILED} else "",
            facts={str(name): str(value) for name, value in one["result"].items()},
            evidence=_results(one["evidence"]),
        )
        for one in decisions
        if one["kind"] == "retrain"
    ]


def _experiments(log: sa.Engine) -> list[Event]:
    """The experiments with a closed day; the others have no place on the time line yet."""
    days = EXPERIMENT_DAYS
    query = sa.select(days.c.experiment, sa.func.min(days.c.day), sa.func.max(days.c.day), sa.func.sum(days.c.flights))
    with log.connect() as connection:
        spans = {name: rest for name, *rest in connection.execute(query.group_by(days.c.experiment))}
    found = []
    for one in experiment_store.find(log):
        if one.experiment in spans:
            first, last, flights = spans[one.experiment]
            split = f"{one.plan.share:.0%} of flights from {one.live_from}" if one.live_from else "none, shadow only"
            facts = {
                "state": one.state,
                "labelled flights with both predictions": f"{flights or 0:,}",
                "challenger's share of traffic": split,
                "submitted by": one.actor,
            }
            title = f"Version {one.challenger} against {one.champion}: {one.state}"
            found.append(Event("experiment", first, title, one.reason, STATE_OF.get(one.state, ""), last, facts))
    return found


def _promotions(log: sa.Engine, asked: dict[str, float]) -> list[Event]:
    found = []
    for act in audit.moves(log):
        verb, state = ("promoted", "good") if act["action"] == audit.PROMOTE else ("restored", "bad")
        facts = {"by": act["actor"], "previous": act["old_value"] or "none"}
        title = f"Version {act['version']} {verb}"
        found.append(Event("promotion", day_of(act["at"], asked), title, act["reason"], state, facts=facts))
    return found


def _alerts(log: sa.Engine, decisions: list[dict[str, Any]]) -> list[Event]:
    decided, begun = {one["day"]: one for one in decisions}, _alarms_that_began(decisions)
    query = sa.select(ALERTS).order_by(ALERTS.c.day, ALERTS.c.number)
    with log.connect() as connection:
        rows = connection.execute(query).mappings().all()
    found = []
    for row in rows:
        day, decision = row["day"], decided.get(row["day"])
        delivered = ("not yet", "yes", "refused")[row["delivered"]]
        if row["error"]:
            delivered += f": {row['error']}"
        facts = {"severity": row["severity"], "delivered": delivered}
        if row["severity"] == "page" and decision:
            facts["decision of the day"] = f"{in_words(decision['kind'])}: {decision['reason']}"
        kind = "note" if row["severity"] == "info" else "alert"
        title = row["title"][:1].upper() + row["title"][1:]
        state = "bad" if row["severity"] == "page" else ""
        evidence = begun.get((day, row["subject"]), []) if row["kind"] == "alarm_begins" else []
        if row["kind"] == "decision" and decision:
            evidence = _results(decision["evidence"])
        found.append(Event(kind, day, title, row["text"], state, facts=facts, evidence=evidence))
    return found


def _alarms_that_began(decisions: list[dict[str, Any]]) -> dict[tuple[str, str], list[MonitorResult]]:
    """The results whose alarm began, by day and monitor."""
    found: dict[tuple[str, str], list[MonitorResult]] = {}
    before: set[tuple[str, str, int]] = set()
    for one in decisions:
        alarms = _results(one["alarms"])
        for alarm in alarms:
            if alarm.alarm_key not in before:
                found.setdefault((one["day"], alarm.monitor), []).append(alarm)
        before = {alarm.alarm_key for alarm in alarms}
    return found


def _results(rows: list[dict[str, Any]]) -> list[MonitorResult]:
    return [MonitorResult(**row) for row in rows]


def _faults(home: Path, today: str) -> list[Event]:
    found = []
    for one in read_faults(home):
        text = f"{one.size}; {f'removed on {one.until}' if one.until else 'still active'}"
        until = max(one.until or today, one.day)
        found.append(Event("fault", one.day, f"Fault injected: {one.what}", text, "bad", until))
    return found
