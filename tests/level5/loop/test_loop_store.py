"""What is on record of a day is whole, stays as it is, and is all that the next decision needs."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa

from level4_deployment.experiment import experiment_store
from level4_deployment.experiment.design import Plan
from level4_deployment.prediction_log import open_log
from level5_monitoring.loop import loop_store, policy
from level5_monitoring.loop.alerts import Alert, alerts_of, alerts_of_result
from level5_monitoring.loop.policy import Decision, PolicyState
from level5_monitoring.loop.policy_state import load_policy_state
from level5_monitoring.monitors.monitor_result import MonitorResult
from tests.level4.postgres import new_database


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.Engine]:
    """An empty log."""
    if request.param == "sqlite":
        yield open_log(f"sqlite:///{tmp_path / 'log.db'}")
        return
    engine = open_log(new_database(request.getfixturevalue("postgresql")))
    yield engine
    engine.dispose()


def found(day: str, monitor: str, state: str = "alarm") -> MonitorResult:
    """A finding of version 3."""
    return MonitorResult(day, monitor, "version 3", state, "it is off", 900, 0.5, 0.1)  # type: ignore[arg-type]


def decided(log: sa.Engine, day: str, *findings: MonitorResult) -> Decision:
    """Decide on a day as the loop does."""
    policy_state = load_policy_state(log, day)
    decision = policy.decide(day, findings, policy_state)
    return loop_store.record_decision(log, decision, findings, alerts_of(decision, policy_state, "level5"))


def test_a_day_on_record_stays_as_it_is(log: sa.Engine) -> None:
    """A second decision on it, and a second result, change nothing."""
    first = decided(log, "2013-05-06", found("2013-05-06", "contract"))
    loop_store.close_decision(log, "2013-05-06", {"first": 1})
    again = decided(log, "2013-05-06", found("2013-05-06", "performance"))
    loop_store.close_decision(log, "2013-05-06", {"second": 2})
    assert again == first == loop_store.decision_of(log, "2013-05-06")
    [row] = loop_store.decisions(log)
    assert (row["state"], row["result"]) == (loop_store.DONE, {"first": 1})
    assert loop_store.monitor_results(log) == [found("2013-05-06", "contract")]
    assert len(loop_store.alerts(log, "2013-05-06")) == 1


def test_what_fails_half_way_leaves_nothing(log: sa.Engine) -> None:
    """No decision without its alerts."""
    broken = Alert("a", "2013-05-06", "page", "title", None)  # type: ignore[arg-type]
    with pytest.raises(sa.exc.IntegrityError):
        loop_store.record_decision(
            log, Decision("2013-05-06", "no_action", "."), [found("2013-05-06", "drift")], [broken]
        )
    assert loop_store.decisions(log) == []
    assert loop_store.monitor_results(log) == []


def test_memory_is_of_earlier_days_only(log: sa.Engine) -> None:
    """Seen from a day, what was decided on it or later is not there: after a crash, the same memory."""
    before = load_policy_state(log, "2013-05-06")
    assert decided(log, "2013-05-06", found("2013-05-06", "performance")).kind == "retrain"
    assert load_policy_state(log, "2013-05-06") == before == PolicyState()
    assert load_policy_state(log, "2013-05-07").trainings == ("2013-05-06",)
    assert decided(log, "2013-05-07", found("2013-05-07", "performance")).cause == "cool-down"


def test_an_act_that_failed_counts_for_none_and_is_told(log: sa.Engine) -> None:
    """It may be decided again the next day; one that was refused may not, before its cool-down."""
    for day, word, then in (("2013-05-06", "failed", "retrain"), ("2013-05-07", "refused", "defer")):
        decision = decided(log, day, found(day, "performance"))
        assert decision.kind == "retrain"
        result = {word: "no platform runs here"}
        for _ in range(2):
            loop_store.close_decision(log, day, result, alerts_of_result(decision, result))
        assert [alert.title for alert in loop_store.alerts(log, day)][-2:] == ["retrain", f"retrain {word}"]
        tomorrow = str((pd.Timestamp(day) + pd.Timedelta(days=1)).date())
        assert policy.decide(tomorrow, [found(tomorrow, "performance")], load_policy_state(log, tomorrow)).kind == then


def test_an_experiment_that_ended_is_told_once_and_doubted_days_are_its_own(log: sa.Engine) -> None:
    """Inconclusive asks for a person."""
    plan = Plan(0.01)
    experiment = experiment_store.new_experiment(log, 2, 3, plan, "test")
    experiment_store.save(log, experiment)
    day = {"experiment": experiment.experiment, "flights": 900, "champion_arm": 0, "challenger_arm": 0}
    with log.begin() as connection:
        connection.execute(experiment_store.DAYS.insert(), day | {"day": "2013-05-06"})
    decided(log, "2013-05-05", found("2013-05-05", "labels"))
    decided(log, "2013-05-06", found("2013-05-06", "labels"))
    policy_state = load_policy_state(log, "2013-05-07")
    assert (policy_state.experiment, policy_state.suspect_days) == (experiment.experiment, ("2013-05-06",))
    experiment_store.save(log, experiment_store.Experiment(**{**vars(experiment), "state": "inconclusive"}))
    decided(log, "2013-05-07", found("2013-05-07", "labels", "ok"))
    decided(log, "2013-05-08", found("2013-05-08", "labels", "ok"))
    told = [[alert.title for alert in loop_store.alerts(log, day)] for day in ("2013-05-07", "2013-05-08")]
    assert told == [["labels alarm is over", "experiment inconclusive"], []]


def test_a_verdict_of_the_day_itself_is_seen_to_rest_on_it(log: sa.Engine) -> None:
    """The platform judges as the day closes, before the loop has looked at its labels."""
    experiment = experiment_store.new_experiment(log, 2, 3, Plan(0.01), "test")
    experiment_store.save(
        log, experiment_store.Experiment(**{**vars(experiment), "state": "rejected", "reason": "worse"})
    )
    day = {"experiment": experiment.experiment, "flights": 900, "champion_arm": 0, "challenger_arm": 0}
    with log.begin() as connection:
        connection.execute(experiment_store.DAYS.insert(), day | {"day": "2013-05-06"})
    decided(log, "2013-05-06", found("2013-05-06", "labels"))
    [told] = [alert for alert in loop_store.alerts(log, "2013-05-06") if alert.title == "experiment rejected"]
    assert told.severity == "ticket"
    assert "MLOPS_WITHIN=level5 make submit VERSION=3" in told.text
