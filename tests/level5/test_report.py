"""The report counts what the tables hold."""

import re
from dataclasses import asdict, replace

import pandas as pd
import pytest

from level4_deployment.control import audit
from level4_deployment.experiment import experiment_store
from level4_deployment.experiment.design import Plan, Verdict
from level5_monitoring import config, report
from level5_monitoring.loop import loop_store, outbox
from level5_monitoring.loop.alerts import Alert
from level5_monitoring.loop.policy import Decision, Kind
from level5_monitoring.policy_backtest.calendars import LOOP
from level5_monitoring.policy_backtest.comparison import Effort
from shared.console import console
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
    summary = report.summarise_year(level5_settings)
    assert (summary.days, summary.monitor_results, summary.promoted) == (5, 10, 1)
    assert summary.effort == Effort(trainings=2, steps=1, alerts=2, false_alarms=1)
    assert summary.alerts == "1 page, 1 info; 2 of 2 delivered"
    assert (summary.drift, summary.example_day, summary.false_alarms) == (5, "2013-05-06", "1, on 1 days")
    told = "False alarm: contract on 2013-05-06, no retraining"
    assert capsys.readouterr().out.strip() == told, "it went on for five days"


def test_each_fault_of_the_year_is_shown_with_what_the_loop_and_the_calendars_did(
    level5_settings: Settings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Log loss by the true labels, from the fault to the next one."""
    monkeypatch.setattr(console, "width", 300)
    days = [str(day.date()) for day in pd.date_range("2013-07-15", "2013-09-29")]
    loss = {LOOP: 0.5, "weekly": 0.75, "monthly": 0.25}  # the probability of what happened
    weekly = [18 + (day >= "2013-08-05") + (day >= "2013-08-12") for day in days]  # 5 August is the 19th Monday
    table = pd.DataFrame({"flight_id": [f"{day}-UA1-EWR" for day in days], "late": 1.0, **loss})
    table["weekly version"], table["monthly version"] = weekly, 5
    alarms = {"contract": days[:13], "labels": [day for day in days if "2013-09-02" <= day <= "2013-09-11"]}
    with config.open_log(level5_settings) as log:
        for day in days:
            found = tuple(monitor_result(name, day=day) for name, on in alarms.items() if day in on)  # type: ignore[arg-type]
            loop_store.record_decision(log, Decision(day, "no_action", ".", alarms=found), [], [])
        retrain = Decision("2013-07-14", "retrain", "too early"), Decision("2013-10-01", "retrain", "grown")
        for one, result in zip(retrain, ({}, {"refused": "version 5 is refused: quality. Remedy: x"}), strict=True):
            loop_store.record_decision(log, one, [], [])
            loop_store.close_decision(log, one.day, result)
    shown = report.show_faults(level5_settings, table)
    assert [one.seen for one in shown] == ["on day 1", "refused by gates", "on day 1"]
    rows = [re.split(r"  +", line.strip()) for line in capsys.readouterr().out.splitlines()[3:]]
    assert rows == [
        ["recent delays in hours", "the loop", "alarm on day 1; 13 days left out", "0.693"],
        ["15 Jul to 24 Jul", "weekly", "learnt by 24 trainings", "0.288"],
        ["21 flights", "monthly", "learnt by 5 trainings", "1.386"],
        ["a spoiled training", "the loop", "refused by the gates on 03 Oct", "0.693"],
        ["labels of other flights", "weekly", "live for 7 days", "0.288"],
        ["28 flights", "monthly", "live for 77 days", "1.386"],
        ["labels are inverted", "the loop", "alarm on day 1; 10 days left out", "0.693"],
        ["02 Sep to 08 Sep", "weekly", "learnt by 17 trainings", "0.288"],
        ["28 flights", "monthly", "learnt by 3 trainings", "1.386"],
    ]


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
