"""Every combination of results and states gives one decision, and never one that bad data or a limit forbid."""

from dataclasses import replace
from datetime import date, timedelta
from typing import Any, get_args

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from level4_deployment.experiment.design import Plan
from level5_monitoring.live_year.fault_injection import inject_fault
from level5_monitoring.loop.alerts import alerts_of
from level5_monitoring.loop.policy import (
    BUDGET,
    CLEAN_DAYS,
    COOL_DOWN,
    PERFORMANCE,
    PERIOD,
    PLAN,
    QUALITY,
    PolicyState,
    active_alarms,
    by_monitor,
    decide,
    excluded_reason,
    growth,
    planned_growth,
)
from level5_monitoring.monitors.data_quality import check_contract
from level5_monitoring.monitors.monitor_result import Monitor, MonitorResult, State
from level5_monitoring.monitors.reference import Reference
from level5_monitoring.monitors.window import as_window
from tests.factories import monitor_result

DAY = "2013-07-14"


def result(monitor: Monitor, state: State = "alarm", **changes: Any) -> MonitorResult:
    return monitor_result(monitor, state, **{"day": DAY} | changes)


monitors, states = st.sampled_from(get_args(Monitor)), st.sampled_from(get_args(State))
targets = st.sampled_from([{}, {"target": "wind_speed"}, {"version": 4}])
some_results = st.lists(st.builds(lambda *two, more: result(*two, **more), monitors, states, more=targets), max_size=8)
days_before = st.dates(date(2012, 7, 1), date(2013, 7, 13)).map(str)
policy_states = st.builds(
    PolicyState,
    alarms=st.lists(st.builds(result, monitors), max_size=4).map(lambda some: active_alarms(DAY, (), some)),
    first_day=days_before,
    champion_trained=st.just("") | days_before,
    retrainings=st.lists(days_before, max_size=BUDGET + 3, unique=True).map(lambda days: tuple(sorted(days))),
    running_experiment=st.sampled_from(["", "2-against-3"]),
    awaits_approval=st.booleans(),
    non_inferior_experiment=st.sampled_from(["", "2-against-1"]),
    suspect_days=st.sampled_from([(), ("2013-07-01",)]),
    rolled_back=st.sampled_from([(), (3,)]),
).map(
    lambda one: replace(
        one,
        awaits_approval=one.awaits_approval and bool(one.running_experiment),
        non_inferior_experiment="" if one.running_experiment else one.non_inferior_experiment,
    )
)


def days_since(day: str) -> int:
    return (date.fromisoformat(DAY) - date.fromisoformat(day)).days


@settings(max_examples=400, deadline=None)
@given(some_results, policy_states)
def test_no_combination_gives_an_act_that_is_forbidden(results: list[MonitorResult], state: PolicyState) -> None:
    decision = decide(DAY, results, state)
    assert decision == decide(DAY, list(results), state)
    assert decision.reason.endswith(".")
    if (
        decision.cause in ("growth", "non_inferior", "verdict") or "not used" in decision.reason
    ):  # no alarm has led to it
        assert decision.evidence == by_monitor(results, "labels", *PERFORMANCE)
    else:
        for one in decision.evidence:
            assert one.described_target in decision.reason
            assert "value 0.5, threshold 0.1, 900 rows" in decision.reason
    on = {one.monitor for one in decision.alarms}
    if on & {"contract", "volume"}:
        assert decision.kind == "stop_experiment"
    elif "labels" in on and decision.cause != "regression_vs_previous":  # a severe regression comes first
        assert decision.kind == ("stop_experiment" if state.running_experiment else "defer")
    if decision.kind == "retrain":
        assert sum(days_since(day) < PERIOD for day in state.retrainings) < BUDGET
        assert not state.running_experiment
        assert all(days_since(day) >= COOL_DOWN for day in state.retrainings)
        if decision.cause == "growth":
            assert growth(DAY, state) >= planned_growth(state)
    if decision.kind == "promote":
        assert not state.suspect_days
        wanted = state.running_experiment if state.awaits_approval else state.non_inferior_experiment
        assert decision.experiment == wanted != ""
    if decision.kind == "stop_experiment":
        assert decision.experiment == state.running_experiment
    assert (decision.version is not None) == (decision.kind == "roll_back")
    if decision.kind == "roll_back":
        assert decision.version not in state.rolled_back
    keys = [alert.key for alert in alerts_of(decision, state, "level5")]
    assert len(keys) == len(set(keys))


def test_the_first_monitor_of_the_precedence_decides() -> None:
    order: list[Monitor] = ["contract", "severe_regression", "labels", "regression_vs_previous", "calibration", "drift"]
    kinds = [decide(DAY, [result(monitor) for monitor in order[i:]], PolicyState()).kind for i in range(6)]
    assert kinds == ["stop_experiment", "roll_back", "defer", "roll_back", "retrain", "notify"]


@pytest.mark.parametrize("monitor", QUALITY)
def test_each_monitor_of_a_champions_quality_leads_to_a_retraining_that_names_it(monitor: Monitor) -> None:
    decision = decide(DAY, [result(monitor)], PolicyState())
    assert (decision.kind, decision.cause) == ("retrain", "performance")
    assert monitor in decision.reason


def in_doubt(first: str, last: str) -> PolicyState:
    days = pd.date_range(first, last).strftime("%Y-%m-%d")
    return PolicyState(in_doubt=tuple(monitor_result("contract", day=day) for day in days))


def test_each_limit_defers_a_retraining_with_its_own_reason() -> None:
    broken = [result("calibration")]
    held = {
        "experiment": PolicyState(running_experiment="2-against-3"),
        "budget": PolicyState(retrainings=("2013-04-01",) * BUDGET),
        "cool-down": PolicyState(retrainings=("2013-06-24",)),
        "doubt": in_doubt("2013-06-04", "2013-06-30"),
    }
    for cause, state in held.items():
        decision = decide(DAY, broken, state)
        assert (decision.kind, decision.cause) == ("defer", cause)
    assert "20 days ago" in decide(DAY, broken, held["cool-down"]).reason
    assert "27 of the 28 days to validate a model on are in doubt" in decide(DAY, broken, held["doubt"]).reason
    assert decide(DAY, broken, PolicyState(retrainings=("2013-06-23",))).kind == "retrain"
    for first, last in (("2013-06-04", "2013-06-29"), ("2013-06-06", "2013-07-13")):
        enough = decide(DAY, broken, in_doubt(first, last))
        assert enough.kind == "retrain"
        assert f"in alarm: {first} to {last}." in enough.reason


def test_a_challenger_is_trained_on_the_day_on_which_the_labels_have_grown_as_planned() -> None:
    """From 1 April, 90 days: 7 retrainings in 274 days, so one is due after each 19%; from 1 July, after each 12%.

    It counts from the champion's training: one that was refused or lost its experiment is followed by another.
    """
    cases = {
        PolicyState(first_day="2013-04-01"): "2013-04-19",
        PolicyState(first_day="2013-07-01"): "2013-07-24",
        PolicyState(first_day="2013-04-01", champion_trained="2013-04-18", retrainings=("2013-04-18",)): "2013-05-09",
        PolicyState(first_day="2013-04-01", champion_trained="2013-06-04", retrainings=("2013-06-04",)): "2013-07-04",
        PolicyState(first_day="2013-04-01", retrainings=("2013-04-18",)): "2013-05-09",  # after COOL_DOWN
    }
    days = [str(day.date()) for day in pd.date_range("2013-04-02", "2013-12-31")]
    found = {}
    for state in cases:
        after = max(state.retrainings, default=state.first_day)
        found[state] = next(day for day in days if day > after and decide(day, [], state).kind == "retrain")
    assert [*found.values()] == [*cases.values()]


def test_the_plan_of_an_experiment_can_be_carried_out() -> None:
    """It needs fewer days than the cool-down, so that no experiment delays the next training."""
    plan = Plan.of(**PLAN)
    assert plan.max_days + 2 < COOL_DOWN
    assert plan.margin > 0


def test_a_winner_on_suspect_days_is_not_promoted() -> None:
    waits = PolicyState(running_experiment="2-against-3", awaits_approval=True)
    assert decide(DAY, [], waits).kind == "promote"
    suspect_days = decide(DAY, [], replace(waits, suspect_days=("2013-07-01",)))
    assert suspect_days.kind == "stop_experiment"
    assert "2013-07-01" in suspect_days.reason


def test_a_weekly_alarm_is_active_until_its_monitor_runs_again() -> None:
    week = active_alarms(DAY, [result("drift")], [result("contract", "ok")])
    assert [one.target for one in week] == ["temp"]
    assert active_alarms(DAY, week, [result("drift", "ok")]) == ()


def test_celsius_stays_in_alarm_to_its_end_though_humid_days_look_right(
    flights: pd.DataFrame, reference: Reference
) -> None:
    """With the real monitor. On 8 May °C fit the humid air, and the alarm lasts. The price: three days at the end."""
    first, last = date(2013, 5, 2), date(2013, 5, 15)
    alarms: tuple[MonitorResult, ...] = ()
    rings, active = [], []
    for n in range(20):
        day = str(first + timedelta(n))
        rows = as_window(flights[flights["flight_id"].str.startswith(day)], 0.2)
        sent = inject_fault(rows, "celsius", 3) if day <= str(last) else rows
        decision = decide(day, check_contract(sent, reference, day), PolicyState(alarms=alarms))
        alarms = decision.alarms
        rings += [day] * any(one.day == day for one in alarms)
        active += [day] * (decision.kind == "stop_experiment")
    assert "2013-05-08" not in rings
    assert rings[-1] == str(last)
    assert active == [str(first + timedelta(n)) for n in range(14 + CLEAN_DAYS - 1)]


def test_the_alarm_of_a_version_that_was_replaced_is_over() -> None:
    """Although the next champion has too few days for a result."""
    next_one = result("calibration", "insufficient data", version=4)
    assert active_alarms(DAY, [result("calibration"), result("regression_vs_previous")], [next_one]) == ()


@pytest.mark.parametrize(
    ("monitors", "reason"),
    [(["drift"], ""), (["labels"], "labels"), (["contract", "labels"], "contract"), (["volume"], "contract")],
)
def test_a_day_is_excluded_from_performance_by_what_was_in_alarm(monitors: list[Monitor], reason: str) -> None:
    assert excluded_reason([monitor_result(monitor) for monitor in monitors]) == reason
