"""What happened in the year: trainings, experiments, promotions, alerts and injected faults, as the page lists them."""

from bisect import bisect_right
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import sqlalchemy as sa

from level4_deployment.control import audit
from level4_deployment.experiment import experiment_store
from level4_deployment.prediction_log import AUDIT, EXPERIMENT_DAYS
from level5_monitoring.live_year.year_record import read_faults
from level5_monitoring.loop.controller import CLOSES_AFTER
from level5_monitoring.loop.policy import FAILED, REFUSED
from level5_monitoring.monitors.monitor_result import MonitorResult, in_words
from level5_monitoring.tables import ALERTS

KINDS = {
    "fault": "Faults",
    "alert": "Alerts",
    "drift": "Drift",
    "training": "Retrainings",
    "experiment": "Experiments",
    "promotion": "Promotions",
    "note": "Notes",
}
STATE_OF = {experiment_store.PROMOTED: "good"} | dict.fromkeys(experiment_store.LOST, "bad")
NON_INFERIOR = "non-inferior"  # in the reason of a promotion
ENDS = (audit.AWAIT_APPROVAL, audit.END, audit.STOP)  # by which an experiment has a result
DUE = {"growth": "planned growth of the data", "performance": "performance of the champion"}  # what a retraining is for
PLANNED = "No alarm led to this: the policy retrains whenever the days with labels have grown by the same share. "


@dataclass(frozen=True)
class Event:
    """Something that happened in the night to `day`, and lasted from `first` to `last`, or one day if they are "".

    kind: of KINDS. state: "good", "bad" or "". facts: by name. evidence: what led to it. versions: that it is about.
    decision: the day of departure whose decision it is, or "".
    """

    kind: str
    day: str
    title: str
    text: str
    state: str = ""
    first: str = ""
    last: str = ""
    facts: dict[str, str] = field(default_factory=dict)
    evidence: list[MonitorResult] = field(default_factory=list)
    versions: tuple[str, ...] = ()
    decision: str = ""


def read_events(log: sa.Engine, decisions: list[dict[str, Any]], asked: dict[str, float], home: Path) -> list[Event]:
    """All events, oldest first. asked: the machine's clock at the first prediction of each day, to date actions."""
    experiments = experiment_store.find(log)
    found = [
        *_faults(home, today=max(asked, default="")),
        *_alerts(log, decisions, experiments),
        *_trainings(decisions),
        *_experiments(log, experiments, decisions, asked),
        *_promotions(log, decisions, asked),
    ]
    return sorted(found, key=lambda event: event.day)


def night_of(at: float, asked: dict[str, float]) -> str:
    """The day after the one whose flights were being predicted when the machine's clock was `at`."""
    days = sorted(asked)
    later = bisect_right(days, at, key=asked.__getitem__)
    return days[later] if later < len(days) else _after(max(days, default=""), pd.Timedelta(days=1))


def _decided(decision: dict[str, Any]) -> str:
    """The night of a decision."""
    return _after(decision["day"], CLOSES_AFTER)


def _after(day: str, time: pd.Timedelta) -> str:
    return str((pd.Timestamp(day) + time).date()) if day else ""


def _trainings(decisions: list[dict[str, Any]]) -> list[Event]:
    return [
        Event(
            "training",
            _decided(one),
            f"Retraining: {DUE[one['cause']]}",
            (PLANNED if one["cause"] == "growth" else "") + one["reason"],
            state="bad" if one["result"].keys() & {REFUSED, FAILED} else "",
            facts={str(name): str(value) for name, value in one["result"].items()},
            evidence=_results(one["evidence"]),
            versions=(str(one["result"]["version"]),) if "version" in one["result"] else (),
            decision=one["day"],
        )
        for one in decisions
        if one["kind"] == "retrain"
    ]


def _experiments(
    log: sa.Engine,
    experiments: list[experiment_store.Experiment],
    decisions: list[dict[str, Any]],
    asked: dict[str, float],
) -> list[Event]:
    """The experiments, each where its result was known, or where it began while it has none.

    One spans its closed days, or, as long as it has none, the days on which flights were predicted for it.
    """
    days = EXPERIMENT_DAYS
    query = sa.select(days.c.experiment, sa.func.min(days.c.day), sa.func.max(days.c.day), sa.func.sum(days.c.flights))
    with log.connect() as connection:
        spans = {name: rest for name, *rest in connection.execute(query.group_by(days.c.experiment))}
    acts = audit.trail(log, AUDIT.c.experiment.is_not(None))
    begun = {act["experiment"]: night_of(act["at"], asked) for act in reversed(acts)}  # by the first one
    ended = {act["experiment"]: night_of(act["at"], asked) for act in reversed(acts) if act["action"] in ENDS}
    decided = {one["experiment"]: one["day"] for one in decisions if one["experiment"]}  # not by the platform
    found = []
    for one in experiments:
        name, running = one.experiment, one.state == experiment_store.RUNNING
        first, result = begun[name], ended.get(name, begun[name])
        last = max(asked, default="") if running else _after(result, -pd.Timedelta(days=1))
        first, last, flights = spans.get(name, (first, max(first, last), 0))
        facts = {
            "state": one.state,
            "labelled flights with both predictions": f"{flights or 0:,}",
            "challenger's share of traffic": f"{one.plan.share:.0%} of flights from {one.live_from}"
            if one.live_from
            else "none, shadow only",
            "submitted by": one.actor,
        }
        found.append(
            Event(
                "experiment",
                first if running else max(result, last),
                *_outcome(one),
                state=STATE_OF.get(one.state, ""),
                first=first,
                last=last,
                facts=facts,
                versions=(str(one.challenger), str(one.champion)),
                decision=decided.get(name, ""),
            )
        )
    return found


def _outcome(one: experiment_store.Experiment) -> tuple[str, str]:
    """What an experiment found, as a title, and in full."""
    versions = f"Version {_rivals(one)}"
    if one.state == experiment_store.INCONCLUSIVE and one.verdict and one.verdict.non_inferior:
        rule = "The loop promotes such a version, because it knows newer flights."
        return f"{versions}: not worse", f"{one.reason}. {rule}"
    words = {experiment_store.PROMOTED: "better", experiment_store.APPROVAL: "better, awaiting approval"}
    return f"{versions}: {words.get(one.state, one.state)}", one.reason


def _rivals(one: experiment_store.Experiment) -> str:
    return f"{one.challenger} against {one.champion}"


def _promotions(log: sa.Engine, decisions: list[dict[str, Any]], asked: dict[str, float]) -> list[Event]:
    decided = {_decided(one): one["day"] for one in decisions if one["kind"] in ("promote", "roll_back")}
    found = []
    for act in audit.moves(log):
        verb, state = ("promoted", "good") if act["action"] == audit.PROMOTE else ("restored", "bad")
        if NON_INFERIOR in act["reason"]:
            verb += ": not worse, and newer"
        facts = {"by": act["actor"], "previous": act["old_value"] or "none"}
        version, night = str(act["version"]), night_of(act["at"], asked)
        about = (f"Version {version} {verb}", act["reason"], state)
        decision = decided.get(night, "")
        found.append(Event("promotion", night, *about, facts=facts, versions=(version,), decision=decision))
    return found


def _alerts(
    log: sa.Engine, decisions: list[dict[str, Any]], experiments: list[experiment_store.Experiment]
) -> list[Event]:
    tried = {one.experiment: one for one in experiments}
    decided, begun = {one["day"]: one for one in decisions}, _alarms_that_began(decisions)
    query = sa.select(ALERTS).order_by(ALERTS.c.day, ALERTS.c.number)
    with log.connect() as connection:
        rows = connection.execute(query).mappings().all()
    found = []
    for row in rows:
        day, decision = row["day"], decided.get(row["day"])
        kind, state = ("note", "") if row["severity"] == "info" else ("alert", "bad")
        title, decided_on = row["title"][:1].upper() + row["title"][1:], day if decision else ""
        evidence: list[MonitorResult] = []
        versions: tuple[str, ...] = ()
        match row["kind"]:
            case "alarm_begins":
                evidence = begun.get((day, row["subject"]), [])
                if row["subject"] == "drift" and kind == "note":
                    kind, title = "drift", f"Drift begins: {', '.join(in_words(one.target) for one in evidence)}"
            case "decision" if decision:
                evidence = _results(decision["evidence"])
            case "experiment_ended":
                one, decided_on = tried[row["subject"]], ""  # an earlier decision has ended it
                title, versions = f"{title}: version {_rivals(one)}", (str(one.challenger), str(one.champion))
        delivered = ("not yet", "yes", "refused")[row["delivered"]]
        facts = {"severity": row["severity"], "delivered": delivered + (f": {row['error']}" if row["error"] else "")}
        if row["severity"] == "page" and decision:
            facts["decision of the day"] = in_words(decision["kind"])
        about = (kind, _after(day, CLOSES_AFTER), title, row["text"], state)
        found.append(Event(*about, facts=facts, evidence=evidence, versions=versions, decision=decided_on))
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
        last = max(one.until or today, one.day)
        found.append(Event("fault", one.day, f"Fault injected: {one.what}", text, "bad", one.day, last))
    return found
