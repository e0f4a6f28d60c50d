"""The record of a day is complete, stays as it is, and is all that the next decision needs."""

from dataclasses import replace

import pandas as pd
import pytest
import sqlalchemy as sa

from level4_deployment.control import audit
from level4_deployment.experiment import experiment_store
from level4_deployment.experiment.design import Plan, Verdict
from level4_deployment.prediction_log import EXPERIMENT_DAYS
from level5_monitoring.loop import loop_store, outbox, policy
from level5_monitoring.loop.alerts import Alert, alerts_of, alerts_of_result
from level5_monitoring.loop.policy import Decision, PolicyState
from level5_monitoring.loop.policy_state import load_policy_state
from level5_monitoring.monitors.monitor_result import Monitor, MonitorResult, State
from level5_monitoring.monitors.performance import DayPerformance
from tests.factories import experiment_day, insert, monitor_result


def found(day: str, monitor: Monitor, state: State = "alarm") -> MonitorResult:
    return monitor_result(monitor, state, day=day)


def decided(log: sa.Engine, day: str, *results: MonitorResult) -> Decision:
    state = load_policy_state(log, day)
    decision = policy.decide(day, results, state)
    return loop_store.record_decision(log, decision, results, alerts_of(decision, state, "level5"))


def test_a_day_on_record_stays_as_it_is(log: sa.Engine) -> None:
    first = decided(log, "2013-05-06", found("2013-05-06", "contract"))
    loop_store.close_decision(log, "2013-05-06", {"first": 1})
    again = decided(log, "2013-05-06", found("2013-05-06", "calibration"))
    loop_store.close_decision(log, "2013-05-06", {"second": 2})
    assert again == first == loop_store.find_decision(log, "2013-05-06")
    [row] = loop_store.decisions(log)
    assert (row["state"], row["result"]) == (loop_store.DONE, {"first": 1})
    assert loop_store.monitor_results(log) == [found("2013-05-06", "contract")]
    assert len(outbox.alerts(log, "2013-05-06")) == 1


def test_a_training_leaves_out_every_earlier_day_whose_data_or_labels_were_in_alarm(log: sa.Engine) -> None:
    """Those between two days that rang too, and those after them until it is over; then the days are no better."""
    days = [f"2013-05-{n:02}" for n in range(4, 12)]
    for day in days[:-1]:
        state: State = "alarm" if day in ("2013-05-04", "2013-05-06") else "ok"
        labels: State = "alarm" if day == "2013-05-04" else "ok"
        made = decided(log, day, found(day, "contract", state), found(day, "labels", labels), found(day, "drift"))
        assert (made.kind == "stop_experiment") == (day < "2013-05-10")
    assert "on 2013-05-06, and not yet 4 days in a row without" in loop_store.decisions(log)[-2]["reason"]
    decision = decided(log, days[-1], found(days[-1], "calibration"))
    assert decision.kind == "retrain"
    assert policy.days_left_out(decision) == days[:6]
    assert f"because data or labels were in alarm: {days[0]} to {days[5]}." in decision.reason
    assert [(one.day, one.state) for one in decision.evidence[1:4]] == [
        ("2013-05-04", "alarm"),
        ("2013-05-05", "ok"),
        ("2013-05-06", "alarm"),
    ]


def test_a_decision_that_cannot_be_recorded_whole_leaves_nothing(log: sa.Engine) -> None:
    broken = Alert("a", "2013-05-06", "page", "title", None, "decision")  # type: ignore[arg-type]
    with pytest.raises(sa.exc.IntegrityError):
        loop_store.record_decision(
            log, Decision("2013-05-06", "no_action", "."), [found("2013-05-06", "drift")], [broken]
        )
    assert loop_store.decisions(log) == []
    assert loop_store.monitor_results(log) == []


def test_the_policy_state_is_of_earlier_days_only(log: sa.Engine) -> None:
    """Decisions of the day itself and later do not count: after a crash, the state is the same."""
    before = load_policy_state(log, "2013-05-06")
    assert decided(log, "2013-05-06", found("2013-05-06", "calibration")).kind == "retrain"
    assert load_policy_state(log, "2013-05-06") == before == PolicyState()
    assert load_policy_state(log, "2013-05-07").retrainings == ("2013-05-06",)
    assert decided(log, "2013-05-07", found("2013-05-07", "calibration")).cause == "cool-down"


def test_a_failed_act_does_not_count_and_has_an_alert(log: sa.Engine) -> None:
    """A failed retraining may be decided again the next day; a refused one waits for the cool-down."""
    for day, word, then in (("2013-05-06", "failed", "retrain"), ("2013-05-07", "refused", "defer")):
        decision = decided(log, day, found(day, "calibration"))
        assert decision.kind == "retrain"
        result = {word: "no platform runs here"}
        for _ in range(2):
            loop_store.close_decision(log, day, result, alerts_of_result(decision, result))
        assert [alert.title for alert in outbox.alerts(log, day)][-2:] == ["retrain", f"retrain {word}"]
        tomorrow = str((pd.Timestamp(day) + pd.Timedelta(days=1)).date())
        assert policy.decide(tomorrow, [found(tomorrow, "calibration")], load_policy_state(log, tomorrow)).kind == then


def test_an_experiment_that_ended_has_one_alert_and_its_own_suspect_days(log: sa.Engine) -> None:
    experiment = experiment_store.new_experiment(log, 2, 3, Plan(0.01), "test")
    experiment_store.save(log, experiment)
    insert(log, EXPERIMENT_DAYS, experiment_day(experiment.experiment, "2013-05-06"))
    decided(log, "2013-05-05", found("2013-05-05", "labels"))
    decided(log, "2013-05-06", found("2013-05-06", "labels"))
    state = load_policy_state(log, "2013-05-07")
    assert (state.running_experiment, state.suspect_days) == (experiment.experiment, ("2013-05-06",))
    experiment_store.save(log, replace(experiment, state=experiment_store.INCONCLUSIVE))
    for day in ("2013-05-07", "2013-05-08", "2013-05-09", "2013-05-10"):
        decided(log, day, found(day, "labels", "ok"))
    titles = [[alert.title for alert in outbox.alerts(log, f"2013-05-{day}")] for day in ("07", "08", "09", "10")]
    assert titles == [["experiment inconclusive"], [], [], ["labels alarm is over"]]


def test_a_verdict_that_counted_the_day_itself_is_a_ticket(log: sa.Engine) -> None:
    """The platform reaches its verdict when the day closes, before the loop runs its monitors."""
    experiment = experiment_store.new_experiment(log, 2, 3, Plan(0.01), "test")
    experiment_store.save(log, replace(experiment, state=experiment_store.REJECTED, reason="worse"))
    insert(log, EXPERIMENT_DAYS, experiment_day(experiment.experiment, "2013-05-06"))
    decided(log, "2013-05-06", found("2013-05-06", "labels"))
    [alert] = [one for one in outbox.alerts(log, "2013-05-06") if one.title == "experiment rejected"]
    assert alert.severity == "ticket"
    assert "MLOPS_WORKSPACE=level5 make submit VERSION=3" in alert.text


@pytest.mark.parametrize("promotes", [True, False])
def test_a_challenger_that_was_shown_to_be_non_inferior_may_be_promoted_once(log: sa.Engine, promotes: bool) -> None:
    """And not after another version became the champion."""
    promoted(log, None, 2)
    experiment = experiment_store.new_experiment(log, 2, 3, Plan(0.01), "test")
    verdict = Verdict("inconclusive", 14, 9_000, mean=0.001, z=0.6, boundary=1.7, least=-0.003, non_inferior=promotes)
    experiment_store.save(log, replace(experiment, state=experiment_store.INCONCLUSIVE, verdict=verdict))
    name = experiment.experiment if promotes else ""
    assert load_policy_state(log, "2013-05-06").non_inferior_experiment == name
    if promotes:
        decided(log, "2013-05-06")
        loop_store.close_decision(log, "2013-05-06", {policy.FAILED: "no platform runs here"})
        assert load_policy_state(log, "2013-05-07").non_inferior_experiment == name, "a failed act may be tried again"
        decided(log, "2013-05-07")
        loop_store.close_decision(log, "2013-05-07", {policy.REFUSED: "it is stopped by now"})
        assert load_policy_state(log, "2013-05-08").non_inferior_experiment == "", "a refused one may not"
    promoted(log, 2, 7)
    assert load_policy_state(log, "2013-05-06").non_inferior_experiment == ""


def test_the_training_of_a_champion_is_known_until_another_version_is_champion(log: sa.Engine) -> None:
    """Not that of a version that was only tried, and none for the first champion or one that a person made."""
    promoted(log, None, 1)
    for day, version in (("2013-05-06", 2), ("2013-05-20", 3)):
        made = policy.Decision(day, "retrain", "more labels", (), "growth")
        loop_store.record_decision(log, made, [], [])
        loop_store.close_decision(log, day, {"version": version})
    assert load_policy_state(log, "2013-05-21").champion_trained == ""
    promoted(log, 1, 2)
    assert load_policy_state(log, "2013-05-21").champion_trained == "2013-05-06"
    assert load_policy_state(log, "2013-05-21").retrainings == ("2013-05-06", "2013-05-20")
    promoted(log, 2, 9)
    assert load_policy_state(log, "2013-05-21").champion_trained == ""


def promoted(log: sa.Engine, before: int | None, after: int) -> None:
    audit.record(log, audit.move("operator", audit.PROMOTE, before, after, "try"))


def test_a_roll_back_is_on_record_by_its_version(log: sa.Engine) -> None:
    """Nothing reads a version out of text; the next day knows that it was taken back."""
    decision = decided(log, "2013-05-06", found("2013-05-06", "severe_regression"))
    assert (decision.kind, decision.version) == ("roll_back", 3)
    loop_store.close_decision(log, "2013-05-06", {"version": 2})
    assert load_policy_state(log, "2013-05-07").rolled_back == (3,)
    [row] = loop_store.decisions(log)
    assert (row["version"], row["evidence"][0]["version"], row["evidence"][0]["target"]) == (3, 3, "champion")
    assert decided(log, "2013-05-07", found("2013-05-07", "severe_regression")).kind == "defer"


def test_a_measured_day_is_written_once_and_read_up_to_a_day(log: sa.Engine) -> None:
    days = [DayPerformance(f"2013-05-0{i}", 3 + i // 3, 900, 0.2, 0.2, loss=0.5) for i in range(1, 5)]
    for day in days:
        loop_store.save_performance(log, day)
    loop_store.save_performance(log, replace(days[0], loss=9.0))
    until = loop_store.performance_until(log, "2013-05-03")
    assert until["day"].tolist() == ["2013-05-01", "2013-05-02", "2013-05-03"]
    assert until["version"].tolist() == [3, 3, 4]
    assert until["loss"].tolist() == [0.5, 0.5, 0.5]
    assert loop_store.performance_until(log, "2013-04-30").empty
    assert loop_store.last_performance(log, 3)["day"].tolist() == ["2013-05-02", "2013-05-03", "2013-05-04"]
