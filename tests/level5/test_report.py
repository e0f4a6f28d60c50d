"""The report counts what the tables hold."""

from dataclasses import replace

import pytest

from level4_deployment.control import audit
from level4_deployment.experiment import experiment_store
from level4_deployment.experiment.design import Plan
from level5_monitoring import config, report
from level5_monitoring.loop import loop_store, outbox
from level5_monitoring.loop.alerts import Alert
from level5_monitoring.loop.policy import Decision, Kind
from level5_monitoring.policy_comparison import Effort
from shared.settings import Settings
from tests.factories import monitor_result


def test_decisions_are_counted_by_what_came_of_them(
    level5_settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    """A refused promotion promoted nothing, a failed retraining trained nothing, an operator's act is a manual step."""
    decisions: list[tuple[str, Kind, dict[str, object]]] = [
        ("2013-05-06", "retrain", {"version": 2}),
        ("2013-05-07", "retrain", {"failed": "no platform runs here"}),
        ("2013-05-08", "promote", {"version": 2}),
        ("2013-05-09", "promote", {"refused": "it is rejected by now"}),
        ("2013-05-10", "no_action", {}),
    ]
    with config.open_log(level5_settings) as log:
        for day, kind, result in decisions:
            alert = Alert(day, day, "page" if day < "2013-05-07" else "info", "", "", "decision")
            drift = monitor_result("drift", day=day)
            because = Decision(day, kind, f"because of {kind}")
            loop_store.record_decision(log, because, [drift], [alert] if day < "2013-05-08" else [])
            loop_store.close_decision(log, day, result)
        for actor in ("loop", "operator"):
            audit.record(log, audit.move(actor, audit.PROMOTE, 1, 2, "it is better"))
        outbox.deliver(log, outbox.sink_of(level5_settings))
    summary = report.show_decisions(level5_settings)
    assert (summary.days, summary.monitor_results, summary.promoted) == (5, 5, 1)
    assert summary.effort == Effort(trainings=2, steps=1, alerts=2, false_alarms=1)
    assert summary.alerts == "page 1, info 1; 2 of 2 delivered"
    assert summary.kinds == "retrain 2, promote 2, no action 1"
    assert summary.drift == "temp 5"
    printed = capsys.readouterr().out
    assert "because of promote" in printed
    assert "because of no_action" not in printed


@pytest.mark.parametrize(("state", "count"), [("inconclusive", 1), ("promoted", 0), ("running", 0)])
def test_an_alarm_of_performance_is_false_if_its_challenger_was_not_promoted(
    level5_settings: Settings, state: str, count: int
) -> None:
    """While its experiment runs, the alarm does not count yet."""
    retrained = {"kind": "retrain", "cause": "performance", "result": {"version": 2}}
    by_growth = {"kind": "retrain", "cause": "growth", "result": {"version": 3}}
    promoted = [{"kind": "promote", "cause": "verdict", "result": {"version": 2}}] if state == "promoted" else []
    with config.open_log(level5_settings) as log:
        tried = [replace(experiment_store.new_experiment(log, 1, n, Plan.of(), "loop"), state=state) for n in (2, 3)]
    assert report.false_alarms([retrained, by_growth, *promoted], tried, []) == count
