"""What `make level5` prints about the year at its end: what became of its faults, and its decisions in figures."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import pandas as pd

from level4_deployment.control import audit
from level4_deployment.experiment import experiment_store
from level5_monitoring import config
from level5_monitoring.live_year.faulty_year import BROKEN_UNIT, SPOILED_FROM, FeedFault, feed_faults
from level5_monitoring.loop import loop_store, outbox, policy
from level5_monitoring.loop.controller import CLOSES_AFTER
from level5_monitoring.monitors.false_alarms import false_alarms
from level5_monitoring.monitors.monitor_result import MonitorResult, in_words
from level5_monitoring.policy_backtest.calendars import LOOP, training_nights
from level5_monitoring.policy_backtest.comparison import LOSS, Effort
from level5_monitoring.policy_backtest.models import shift
from shared.console import console, show_table
from shared.score import log_losses
from shared.settings import LAST_TODAY, NEW_YORK, Settings

PEOPLE = ("operator", audit.REGISTRY)  # actors on the platform that are a person: by command, or in the registry itself
WITHOUT = ("weekly", "monthly")  # the calendars that the faults are shown with
SEEN_FOR = 56  # days from a fault on whose log loss is shown, or until the next fault begins


@dataclass(frozen=True)
class YearSummary:
    """The year's decisions, counted.

    alerts: by severity, and how many were delivered. drift: weekly alarms. example_day: of a decision to look at, the
    first one about an alarm, or else the first that changed something. false_alarms: how many, and on how many days.
    """

    days: int
    monitor_results: int
    promoted: int
    effort: Effort
    alerts: str
    drift: int
    example_day: str
    false_alarms: str


def summarise_year(settings: Settings) -> YearSummary:
    """Print the false alarms, and return the counts."""
    with config.open_log(settings) as log:
        decisions, results, alerts = loop_store.decisions(log), loop_store.monitor_results(log), outbox.alerts(log)
        tried, actions, undelivered = experiment_store.find(log), audit.trail(log), outbox.undelivered(log)
    acted = [one for one in decisions if one["kind"] not in ("no_action", "notify", "defer")]
    suspect = [one for one in decisions if one["cause"] in ("contract", "labels")]
    done = Counter(one["kind"] for one in acted if not one["result"].keys() & {policy.REFUSED, policy.FAILED})
    trained = sum(one["kind"] == "retrain" and policy.FAILED not in one["result"] for one in acted)
    false = false_alarms([one for one in results if not _of_a_fault(one, settings)])
    followed = Counter(what_followed(one, acted, tried) for one in false)
    for what, times in followed.items():
        console.print(f"  False alarm: {what}" + (f" ({times} targets)" if times > 1 else ""))
    severities = Counter(one.severity for one in alerts)
    counts = ", ".join(f"{count} {name}" for name, count in severities.items()) or "none"
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
        alerts=f"{counts}; {len(alerts) - undelivered} of {len(alerts)} delivered",
        drift=sum(one.monitor == "drift" and one.state == "alarm" for one in results),
        example_day=next((one["day"] for one in [*suspect, *acted, *decisions[-1:]]), ""),
        false_alarms=f"{len(false)}, on {len({one.day for one in false})} days" if false else "none",
    )


def _of_a_fault(result: MonitorResult, settings: Settings) -> bool:
    faults = feed_faults(str(settings.today)) if config.faults() else []
    return any(one.first <= result.day <= one.last for one in faults)


def what_followed(alarm: MonitorResult, acted: list[dict[str, Any]], tried: list[experiment_store.Experiment]) -> str:
    """A false alarm in words, and what the challenger was worth whose training it led to.

    acted: the decisions. tried: the experiments.
    """
    version_of = "" if alarm.version is None else f" of {alarm.described_target}"
    named = f"{in_words(alarm.monitor)}{version_of} on {alarm.day}"
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


@dataclass(frozen=True)
class ShownFault:
    """A fault of the year, and what became of it under the loop and each calendar of WITHOUT.

    about: its days, or what a training was spoiled by. seen: by the loop, in a few words.
    """

    what: str
    first: str
    about: str
    became: dict[str, str]
    seen: str


def show_faults(settings: Settings, table: pd.DataFrame) -> list[ShownFault]:
    """Print each fault of the live year with monitoring and without; table: of `collect_predictions`."""
    if not config.faults():
        return []
    begin = str(settings.today)
    with config.open_log(settings) as log:
        decisions, tried = loop_store.decisions(log), experiment_store.find(log)
    trained = training_nights(settings.now, pd.Timestamp(LAST_TODAY, tz=NEW_YORK) - pd.Timedelta(days=1))
    nights = {name: trained[name] for name in WITHOUT}
    feeds = [_of_feed(one, decisions, nights) for one in feed_faults(begin)]
    shown = sorted([*feeds, *_spoiled(decisions, tried, table, nights)], key=lambda one: one.first)
    rows = []
    day = table["flight_id"].str[:10]
    for number, one in enumerate(shown):
        last = min(shift(one.first, SEEN_FOR - 1), day.max())
        if following := shown[number + 1 : number + 2]:
            last = min(last, shift(following[0].first, -1))
        flights = table[day.between(one.first, last)].dropna(subset=[LOOP])
        cells = [one.what, one.about, f"{len(flights):,} flights"]
        for words, (name, became) in zip(cells, one.became.items(), strict=True):
            loss = log_losses(flights["late"], flights[name]).mean()
            rows.append([words, "the loop" if name == LOOP else name, became, LOSS.format(loss)])
    if rows:
        title = "The faults, with and without monitoring (log loss by the true labels)"
        show_table(title, ["Fault, and flights", "policy", "what became of it", "loss"], rows)
    return shown


def _of_feed(fault: FeedFault, decisions: list[dict[str, Any]], nights: dict[str, list[str]]) -> ShownFault:
    """nights: on which the calendars of WITHOUT train."""
    kinds = policy.DATA if fault is BROKEN_UNIT else policy.LABELS
    active = [
        one["day"]
        for one in decisions
        if one["day"] >= fault.first and any(alarm["monitor"] in kinds for alarm in one["alarms"])
    ]
    lasts = [day for n, day in enumerate(active) if day == shift(active[0], n)]  # one alarm, without a gap
    seen = met = "not seen"
    if lasts:
        seen = f"on day {(pd.Timestamp(lasts[0]) - pd.Timestamp(fault.first)).days + 1}"
        met = f"alarm {seen}; {len(lasts)} days left out"
    learnt = {name: f"learnt by {sum(night > fault.first for night in own)} trainings" for name, own in nights.items()}
    days = f"{_short(fault.first)} to {_short(fault.last)}"
    return ShownFault(fault.what, fault.first, days, {LOOP: met, **learnt}, seen)


def _spoiled(
    decisions: list[dict[str, Any]],
    tried: list[experiment_store.Experiment],
    table: pd.DataFrame,
    nights: dict[str, list[str]],
) -> list[ShownFault]:
    """The spoiled training, if the loop retrained late enough; else nothing."""
    retrained = {shift(one["day"], CLOSES_AFTER.days): one["result"] for one in decisions if one["kind"] == "retrain"}
    night = min((night for night in retrained if night >= SPOILED_FROM), default=None)
    if night is None:
        return []
    version = retrained[night].get("version")
    if policy.REFUSED in retrained[night]:
        met, seen = f"refused by the gates on {_short(night)}", "refused by gates"
    else:
        one = next((one for one in tried if one.challenger == version), None)
        met = seen = f"version {version}: experiment {one.state}" if one else f"version {version}"
    became, first = {LOOP: met}, night
    for name, own in nights.items():
        number = next((n for n, trained in enumerate(own, start=1) if n > 1 and trained >= SPOILED_FROM), 0)
        days = table["flight_id"].str[:10][table[f"{name} version"] == number].nunique()
        became[name] = f"live for {days} days"
        first = min(first, own[number - 1]) if number else first
    return [ShownFault("a spoiled training", first, "labels of other flights", became, seen)]


def _short(day: str) -> str:
    return f"{pd.Timestamp(day):%d %b}"
