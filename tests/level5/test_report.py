"""The report counts what the tables hold."""

from dataclasses import asdict, replace

import pytest

from level4_deployment.control import audit
from level4_deployment.experiment import experiment_store
from level4_deployment.experiment.design import Plan, Verdict
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
            found = [monitor_result("drift", day=day), monitor_result("contract", day=day)]
            because = Decision(day, kind, f"because of {kind}")
            loop_store.record_decision(log, because, found, [alert] if day < "2013-05-08" else [])
            loop_store.close_decision(log, day, result)
        for actor in ("loop", "operator"):
            audit.record(log, audit.move(actor, audit.PROMOTE, 1, 2, "it is better"))
        outbox.deliver(log, outbox.sink_of(level5_settings))
    summary = report.show_decisions(level5_settings)
    assert (summary.days, summary.monitor_results, summary.promoted) == (5, 10, 1)
    assert summary.effort == Effort(trainings=2, steps=1, alerts=2, false_alarms=1)
    assert summary.alerts == "page 1, info 1; 2 of 2 delivered"
    assert summary.kinds == "retrain 2, promote 2, no action 1"
    assert summary.drift == "temp 5"
    assert summary.false_alarms == "contract of temp on 2013-05-06, no retraining", "it went on for five days"
    printed = capsys.readouterr().out
    assert "because of promote" in printed
    assert "because of no_action" not in printed


FALSE = monitor_result("calibration", day="2013-05-06", version=1)


@pytest.mark.parametrize(
    ("mean", "words"),
    [(0.0031, "challenger better: +0.0031 nats per flight, z 0.6"), (-0.001, "challenger not better")],
)
def test_a_false_alarm_is_reported_with_what_its_challenger_was_worth(
    level5_settings: Settings, mean: float, words: str
) -> None:
    verdict = Verdict("inconclusive", 14, 12_345, mean=mean, z=0.6, boundary=1.7)
    retrained = {"day": FALSE.day, "cause": "performance", "result": {"version": 2}, "evidence": [asdict(FALSE)]}
    with config.open_log(level5_settings) as log:
        one = experiment_store.new_experiment(log, 1, 2, Plan.of(), "loop")
    told = report.what_followed(FALSE, [retrained], [replace(one, verdict=verdict)])
    assert told.startswith("calibration of champion (version 1) on 2013-05-06, ")
    assert words in told
    assert report.what_followed(FALSE, [retrained], [one]).endswith("challenger undecided")


def test_a_false_alarm_without_a_retraining_says_so() -> None:
    by_growth = {"day": "2013-05-07", "cause": "growth", "result": {"version": 3}, "evidence": [asdict(FALSE)]}
    assert report.what_followed(FALSE, [by_growth], []).endswith("no retraining")
