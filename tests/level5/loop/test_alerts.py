"""People get an alert for what begins, ends, changes the model or needs them, and none daily."""

from level5_monitoring.loop.alerts import alerts_of, alerts_of_result
from level5_monitoring.loop.policy import BUDGET, EndedExperiment, PolicyState, decide
from level5_monitoring.monitors.monitor_result import State
from tests.factories import monitor_result as result

DAY = "2013-05-06"


def test_an_alarm_has_one_alert_when_it_begins_and_one_when_it_is_over() -> None:
    """None on the days between, whether it rings, passes, or has not enough data; over after four days that pass."""
    state, titles = PolicyState(), []
    states: list[State] = ["ok", "alarm", "ok", "insufficient data", "alarm", "ok", "ok", "ok", "ok", "ok"]
    for n, found in enumerate(states):
        day = f"2013-05-{6 + n:02}"
        decision = decide(day, [result("contract", found, day=day)], state)
        titles.append([(alert.severity, alert.title) for alert in alerts_of(decision, state, "level5")])
        state = PolicyState(alarms=decision.alarms, last_cause=decision.cause)
    begins, over = [("page", "contract alarm begins")], [("info", "contract alarm is over")]
    assert titles == [[], begins, [], [], [], [], [], [], over, []]


def test_an_act_that_failed_is_a_page() -> None:
    back = decide(DAY, [result("severe_regression")], PolicyState())
    assert (back.kind, back.version) == ("roll_back", 3)
    [alert] = alerts_of_result(back, {"failed": "no platform runs here"})
    assert (alert.severity, alert.title, alert.text) == ("page", "roll back failed", "no platform runs here")
    assert alerts_of_result(back, {"version": 2}) == []


def test_an_experiment_that_counted_suspect_days_is_a_ticket_with_the_command_that_repeats_it() -> None:
    for suspect_days, severity in (((), "info"), (("2013-07-01",), "ticket")):
        state = PolicyState(ended=(EndedExperiment("2-against-1-no1", 2, "rejected", "worse", suspect_days),))
        [alert] = alerts_of(decide(DAY, [], state), state, "demo")
        assert alert.severity == severity
        assert ("MLOPS_WORKSPACE=demo make submit VERSION=2" in alert.text) == bool(suspect_days)


def test_a_deferral_that_needs_a_person_is_one_ticket() -> None:
    """The budget is spent on every following day too: only the first has an alert. A cool-down needs nobody."""
    spent = PolicyState(retrainings=("2013-04-01",) * BUDGET, alarms=(result("calibration"),))
    decision = decide(DAY, [result("calibration")], spent)
    [alert] = alerts_of(decision, spent, "level5")
    assert (alert.severity, alert.title, alert.kind) == ("ticket", "deferred: budget", "decision")
    assert alerts_of(decision, PolicyState(alarms=spent.alarms, last_cause="budget"), "level5") == []
    cooling = PolicyState(retrainings=("2013-05-01",), alarms=spent.alarms)
    assert alerts_of(decide(DAY, [result("calibration")], cooling), cooling, "level5") == []


def test_titles_are_words_and_keys_are_unique_in_a_day() -> None:
    decision = decide(DAY, [result("severe_regression"), result("drift")], PolicyState())
    alerts = alerts_of(decision, PolicyState(), "level5")
    assert [one.title for one in alerts] == ["drift alarm begins", "severe regression alarm begins", "roll back"]
    about = [(one.kind, one.subject) for one in alerts]
    assert about == [("alarm_begins", "drift"), ("alarm_begins", "severe_regression"), ("decision", "")]
    assert [one.key for one in alerts][-1] == f"{DAY}-roll-back"
    assert len({one.key for one in alerts}) == 3
