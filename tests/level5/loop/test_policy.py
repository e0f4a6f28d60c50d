"""Every combination of findings and memories gives one decision, and never one that bad data or a limit forbid."""

from dataclasses import replace
from datetime import date
from typing import get_args

from hypothesis import given, settings
from hypothesis import strategies as st

from level5_monitoring.loop.alerts import alerts_of, alerts_of_result
from level5_monitoring.loop.policy import (
    BUDGET,
    CHAMPION,
    COOL_DOWN,
    LONGEST,
    PERIOD,
    EndedExperiment,
    PolicyState,
    active_alarms,
    by_monitor,
    decide,
)
from level5_monitoring.monitors.monitor_result import Monitor, MonitorResult, State

DAY = "2013-07-14"
SUBJECTS = {"contract": "temp", "volume": "flights", "labels": "labels", "drift": "dewp"}


def found(monitor: Monitor, state: State = "alarm", target: str = "", day: str = DAY) -> MonitorResult:
    """A finding with figures."""
    return MonitorResult(day, monitor, target or SUBJECTS.get(monitor, "version 3"), state, "it is off", 900, 0.5, 0.1)


monitors, states = st.sampled_from(get_args(Monitor)), st.sampled_from(get_args(State))
some_findings = st.lists(
    st.builds(found, monitors, states, st.sampled_from(["", "version 3", "wind_speed"])), max_size=8
)
days_before = st.dates(date(2012, 7, 1), date(2013, 7, 13)).map(str)
memories = st.builds(
    PolicyState,
    alarms=st.lists(st.builds(found, monitors), max_size=4).map(lambda some: tuple(active_alarms((), some))),
    begun=days_before,
    trainings=st.lists(days_before, max_size=BUDGET + 3, unique=True).map(lambda days: tuple(sorted(days))),
    experiment=st.sampled_from(["", "2-against-3"]),
    waits=st.booleans(),
    tied=st.sampled_from(["", "1-against-2"]),
    suspect_days=st.sampled_from([(), ("2013-07-01",)]),
    rolled_back=st.sampled_from([(), ("version 3",)]),
).map(lambda one: replace(one, waits=one.waits and bool(one.experiment), tied="" if one.experiment else one.tied))


def days_since(day: str) -> int:
    return (date.fromisoformat(DAY) - date.fromisoformat(day)).days


@settings(max_examples=400, deadline=None)
@given(some_findings, memories)
def test_no_combination_gives_an_act_that_is_forbidden(
    findings: list[MonitorResult], policy_state: PolicyState
) -> None:
    """Nor two different decisions."""
    decision = decide(DAY, findings, policy_state)
    assert decision == decide(DAY, list(findings), policy_state)
    assert decision.reason.endswith(".")
    if decision.cause in ("age", "non_inferior", "verdict") or "not used" in decision.reason:  # no alarm has led to it
        assert decision.evidence == by_monitor(findings, "labels", *CHAMPION)
    else:
        for finding in decision.evidence:
            assert finding.target in decision.reason
            assert "value 0.5, limit 0.1, 900 rows" in decision.reason
    on = {finding.monitor for finding in decision.alarms}
    if on & {"contract", "volume"}:
        assert decision.kind == "halt_experiment"
    elif "labels" in on and decision.cause != "regression_vs_previous":  # a disaster comes first
        assert decision.kind == ("halt_experiment" if policy_state.experiment else "defer")
    if decision.kind == "retrain":
        assert sum(days_since(day) < PERIOD for day in policy_state.trainings) < BUDGET
        assert not policy_state.experiment
        assert all(days_since(day) >= COOL_DOWN for day in policy_state.trainings)
        if decision.cause == "age":
            assert all(days_since(day) >= LONGEST for day in policy_state.trainings or [policy_state.begun])
    if decision.kind == "promote":
        assert policy_state.waits or policy_state.tied
        assert not policy_state.suspect_days
        assert decision.target == (policy_state.experiment if policy_state.waits else policy_state.tied)
    if decision.kind == "roll_back":
        assert decision.target not in policy_state.rolled_back
    keys = [alert.key for alert in alerts_of(decision, policy_state, "level5")]
    assert len(keys) == len(set(keys))


def test_the_first_of_the_order_decides() -> None:
    """Contract, disaster, labels, watch, performance, drift."""
    order: list[Monitor] = ["contract", "severe_regression", "labels", "regression_vs_previous", "performance", "drift"]
    kinds = [decide(DAY, [found(monitor) for monitor in order[i:]], PolicyState()).kind for i in range(6)]
    assert kinds == ["halt_experiment", "roll_back", "defer", "roll_back", "retrain", "notify"]


def test_each_limit_holds_a_retraining_with_its_own_reason() -> None:
    """And the day after the cool-down, it is trained."""
    broken = [found("performance")]
    held = {
        "experiment": PolicyState(experiment="2-against-3"),
        "budget": PolicyState(trainings=("2013-04-01",) * BUDGET),
        "cool-down": PolicyState(trainings=("2013-06-24",)),
    }
    for cause, policy_state in held.items():
        decision = decide(DAY, broken, policy_state)
        assert (decision.kind, decision.cause) == ("defer", cause)
    assert "20 days ago" in decide(DAY, broken, held["cool-down"]).reason
    assert decide(DAY, broken, PolicyState(trainings=("2013-06-23",))).kind == "retrain"


def test_a_winner_on_labels_in_doubt_is_not_promoted() -> None:
    """The experiment ends; on clean labels, the winner is promoted."""
    waits = PolicyState(experiment="2-against-3", waits=True)
    assert decide(DAY, [], waits).kind == "promote"
    suspect_days = decide(DAY, [], replace(waits, suspect_days=("2013-07-01",)))
    assert suspect_days.kind == "halt_experiment"
    assert "2013-07-01" in suspect_days.reason


def test_labels_in_doubt_end_an_experiment_without_a_verdict() -> None:
    """And train nothing, whatever else there is to do."""
    seen = [found("labels"), found("performance")]
    assert decide(DAY, seen, PolicyState(experiment="2-against-3")).kind == "halt_experiment"
    assert decide(DAY, seen, PolicyState(trainings=("2012-07-14",))).kind == "defer"


def test_what_no_alarm_has_led_to_rests_on_how_outcomes_and_champion_stand() -> None:
    """Every decision has its evidence."""
    seen = [
        found("contract", "ok"),
        found("labels", "ok"),
        found("performance", "ok"),
        found("regression_vs_previous", "ok"),
    ]
    waits = PolicyState(experiment="2-against-3", waits=True)
    memories = {
        "age": PolicyState(trainings=("2013-01-01",)),
        "non_inferior": PolicyState(tied="1-against-2"),
        "verdict": waits,
        "labels": replace(waits, suspect_days=("2013-07-01",)),
    }
    for cause, policy_state in memories.items():
        decision = decide(DAY, seen, policy_state)
        assert (decision.cause, decision.evidence) == (cause, tuple(seen[1:]))


def test_an_alarm_that_goes_on_is_told_when_it_begins_and_when_it_is_over() -> None:
    """Not on the days between, nor on days on which nobody could look."""
    policy_state, titles = PolicyState(), []
    for state in ("ok", "alarm", "alarm", "insufficient data", "alarm", "ok", "ok"):
        decision = decide(DAY, [found("contract", state)], policy_state)
        titles.append([(alert.severity, alert.title) for alert in alerts_of(decision, policy_state, "level5")])
        policy_state = PolicyState(alarms=decision.alarms, cause=decision.cause)
    assert titles == [[], [("page", "contract alarm begins")], [], [], [], [("info", "contract alarm is over")], []]


def test_an_act_that_came_to_nothing_is_told() -> None:
    """Who is not told would think that it is done."""
    back = decide(DAY, [found("severe_regression")], PolicyState())
    assert (back.kind, back.target) == ("roll_back", "version 3")
    [alert] = alerts_of_result(back, {"failed": "no platform runs here"})
    assert (alert.severity, alert.title, alert.text) == ("page", "roll_back failed", "no platform runs here")
    assert alerts_of_result(back, {"version": 2}) == []


def test_an_experiment_that_ended_on_labels_in_doubt_asks_for_a_person() -> None:
    """It may have ended so for them alone."""
    for suspect_days, severity in (((), "info"), (("2013-07-01",), "ticket")):
        policy_state = PolicyState(ended=(EndedExperiment("1-against-2-no1", 2, "rejected", "worse", suspect_days),))
        [alert] = alerts_of(decide(DAY, [], policy_state), policy_state, "demo")
        assert alert.severity == severity
        assert ("MLOPS_WITHIN=demo make submit VERSION=2" in alert.text) == bool(suspect_days)


def test_a_verdict_of_the_very_day_whose_labels_are_in_alarm_asks_for_a_person() -> None:
    """The platform comes to it as the day closes, before the loop has looked; one of the days before stands."""
    for today, severity in ((True, "ticket"), (False, "info")):
        policy_state = PolicyState(ended=(EndedExperiment("1-against-2-no1", 2, "rejected", "worse", today=today),))
        told = alerts_of(decide(DAY, [found("labels")], policy_state), policy_state, "level5")
        assert [(alert.severity, DAY in alert.text) for alert in told if alert.title == "experiment rejected"] == [
            (severity, today)
        ]


def test_a_weekly_alarm_is_on_until_its_monitor_looks_again() -> None:
    """Six days without a look at drift do not end it."""
    week = active_alarms([found("drift")], [found("contract", "ok")])
    assert [finding.target for finding in week] == ["dewp"]
    assert active_alarms(week, [found("drift", "ok")]) == ()


def test_the_alarm_of_a_version_that_was_replaced_is_over() -> None:
    """Although the next champion has too few days for anything to be said of it."""
    next_one = found("performance", "insufficient data", "version 4")
    assert active_alarms([found("performance"), found("regression_vs_previous")], [next_one]) == ()
