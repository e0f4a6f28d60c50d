"""What the year's run tells at its end is what the record and the log hold."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock
from level5_monitoring.console_view import ConsoleView

from level4_deployment import prediction_log
from level4_deployment.control import client
from level4_deployment.experiment import experiment_store
from level4_deployment.experiment.design import Plan
from level4_deployment.replay_client import ReplayStats
from level5_monitoring import config, policy_comparison, report
from level5_monitoring.loop import loop_store, outbox
from level5_monitoring.loop.alerts import Alert
from level5_monitoring.loop.policy import Decision, Kind
from level5_monitoring.monitors.monitor_result import MonitorResult
from level5_monitoring.policy_comparison import LoopCounts
from shared.data.replay import Tick
from shared.errors import UserError
from shared.settings import NEW_YORK, Settings, read_settings

FLIGHTS = 40


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A state of the test's own, wide enough to be read."""
    values = {"MLOPS_STATE": str(tmp_path), "MLOPS_WORKSPACE": "level5", "PREDICTION_LOG": "", "COLUMNS": "200"}
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return read_settings()


def answer(flight: str, probability: float, asked_at: float) -> dict[str, object]:
    """A row of the prediction log."""
    return {
        "request_id": f"{flight}-{asked_at}",
        "flight_id": flight,
        "departs_at": 0.0,
        "asked_at": asked_at,
        "request_payload": "{}",
        "arm": "champion",
        "propensity": 1.0,
        "version": 1,
        "probability": probability,
        "fallback": "",
        "seconds": 0.01,
    }


def others() -> pd.DataFrame:
    """Flights of two weeks and two months, every other one late; weekly knows best and frozen least."""
    late = np.arange(FLIGHTS) % 2.0
    days = np.where(np.arange(FLIGHTS) < FLIGHTS / 2, "2013-04-30", "2013-05-06")
    weeks = np.where(np.arange(FLIGHTS) < FLIGHTS / 2, "2013-04-29", "2013-05-06")
    sure = {"frozen": 0.6, "monthly": 0.7, "weekly": 0.8}
    chances = {name: np.where(late == 1, chance, 1 - chance) for name, chance in sure.items()}
    names = [f"{day}-UA{i}-EWR" for i, day in enumerate(days)]
    return pd.DataFrame({"flight_id": names, "week": weeks, "late": late, **chances})


def process(code: str) -> "subprocess.Popen[bytes]":
    """A program that ends by itself."""
    return subprocess.Popen([sys.executable, "-c", code])


def test_each_policy_is_scored_on_the_same_flights(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    """The loop by its first answer to each; a flight that it was not asked for counts for nobody."""
    table = others()
    table.to_parquet(config.own(settings) / report.FILE)
    engine = config.open_log(settings)
    with engine.begin() as connection:
        asked = [answer(flight, 0.25 + 0.5 * (i % 2), 1.0) for i, flight in enumerate(table["flight_id"])][1:]
        connection.execute(prediction_log.PREDICTIONS.insert(), [*asked, answer(table["flight_id"].iloc[1], 0.01, 2.0)])
    found_by = report.answered(settings, process("pass"))
    found = policy_comparison.compare_policies(found_by, LoopCounts(trainings=2, steps=0, alerts=5, false_alarms=1))
    rows = {name: (one.score.rows, round(one.score.log_loss, 6), one.trainings) for name, one in found.items()}
    assert rows == {
        "frozen": (FLIGHTS - 1, round(-np.log(0.6), 6), 1),
        "monthly": (FLIGHTS - 1, round(-np.log(0.7), 6), 2),
        "weekly": (FLIGHTS - 1, round(-np.log(0.8), 6), 2),
        "loop": (FLIGHTS - 1, round(-np.log(0.75), 6), 2),
    }
    assert (found["monthly"].steps, found["loop"].steps) == (2, 0)
    assert policy_comparison.compare(found["loop"], found["weekly"]).startswith("log loss +28.9% of weekly")
    policy_comparison.show_comparison(found_by, found)
    said = capsys.readouterr().out
    assert "on 39 labelled flights" in said
    took = [[cell.strip() for cell in line.split("│")[1:6]] for line in said.partition("What it took")[2].splitlines()]
    assert ["each month, by hand", "2", "", "", "2"] in took
    assert ["when needed, by the loop", "2", "5", "1", "0"] in took
    months = [line.split("│")[1:7] for line in said.splitlines() if "2013-0" in line]
    figures = [[cell.strip() for cell in line] for line in months]
    losses = [f"{-np.log(chance):.4f}" for chance in (0.6, 0.7, 0.8, 0.75)]
    gaps = [f"{1 - chance:.4f}" for chance in (0.6, 0.7, 0.8, 0.75)]
    each = (losses, ["1.0000"] * 4, gaps)
    assert figures == [[month, rows, *four] for four in each for month, rows in (("2013-04", "19"), ("2013-05", "20"))]


def test_the_aims_are_held_against_the_last_year(settings: Settings) -> None:
    """Each that is missed is named, with its figure; a year that reached them all is short of nothing."""
    table = others().assign(loop=lambda table: table["weekly"])
    file = config.own(settings) / policy_comparison.FILE
    good = LoopCounts(trainings=8, steps=0, alerts=5, false_alarms=0)
    found = policy_comparison.compare_policies(table, good)
    many = found | {"weekly": replace(found["weekly"], trainings=40)}
    policy_comparison.keep(settings, many, failed=0)
    assert policy_comparison.short_of(file) == []
    late = np.asarray(table["late"])
    worse = table.assign(loop=np.where(late == 1, 0.79, 0.21))
    bad = policy_comparison.compare_policies(worse, replace(good, trainings=9, steps=1))
    policy_comparison.keep(settings, bad | {"weekly": many["weekly"]}, failed=3)
    assert [line.split(";")[0] for line in policy_comparison.short_of(file)] == [
        "log loss +5.64% of weekly retraining's",
        "9 trainings",
        "1 steps by hand",
        "3 requests failed",
    ]


def test_a_training_by_the_calendar_that_fails_is_told(settings: Settings) -> None:
    """With where to look."""
    with pytest.raises(UserError, match=r"worth\.log"):
        report.answered(settings, process("raise SystemExit(1)"))


def test_the_record_is_told_as_it_is(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    """What was refused promoted nothing; what failed trained nothing; what a person did is a step by hand."""
    engine = config.open_log(settings)
    told: list[tuple[str, Kind, dict[str, object]]] = [
        ("2013-05-06", "retrain", {"version": 2}),
        ("2013-05-07", "retrain", {"failed": "no platform runs here"}),
        ("2013-05-08", "promote", {"version": 2}),
        ("2013-05-09", "promote", {"refused": "it is rejected by now"}),
        ("2013-05-10", "no_action", {}),
    ]
    for day, kind, result in told:
        found = [MonitorResult(day, "drift", "temp", "alarm", "it is off", 900, 0.5, 0.1)]
        told_of = [Alert(day, day, "page" if day < "2013-05-07" else "info", "", "")] if day < "2013-05-08" else []
        loop_store.record_decision(engine, Decision(day, kind, f"because of {kind}"), found, told_of)
        loop_store.close_decision(engine, day, result)
    for who in ("loop", "operator"):
        experiment_store.end_act(engine, experiment_store.begin_act(engine, who, "promote", (1, 2), "it is better"))
    outbox.deliver(engine, outbox.sink_of(settings))
    decided = report.show_decisions(settings)
    assert (decided.days, decided.findings) == (5, 5)
    assert (decided.counted, decided.promoted) == (LoopCounts(trainings=2, steps=1, alerts=2, false_alarms=1), 1)
    assert decided.alerts == "1 page, 1 info; 2 of 2 delivered"
    assert decided.kinds == "retrain 2, promote 2, no_action 1"
    said = capsys.readouterr().out
    assert "because of promote" in said
    assert "because of nothing" not in said


@pytest.mark.parametrize(("state", "false"), [("inconclusive", 1), ("promoted", 0), ("running", 0)])
def test_a_broken_promise_is_a_false_alarm_if_its_challenger_was_no_better(
    settings: Settings, state: str, false: int
) -> None:
    """While it is being tried, nobody knows."""
    retrained = {"kind": "retrain", "cause": "performance", "result": {"version": 2}}
    by_age = {"kind": "retrain", "cause": "age", "result": {"version": 3}}
    promoted = [{"kind": "promote", "cause": "verdict", "result": {"version": 2}}] if state == "promoted" else []
    engine = config.open_log(settings)
    tried = [replace(experiment_store.new_experiment(engine, 1, n, Plan.of(), "loop"), state=state) for n in (2, 3)]
    assert report.false_alarms([retrained, by_age, *promoted], tried, []) == false


def test_a_run_begins_with_nothing(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was there is kept beside; a platform that runs, and a log elsewhere with answers in it, are left alone."""
    (config.own(settings) / "kept").touch()
    folder = report.empty_homes(settings)
    assert (settings.state / "level5-before" / "kept").exists()
    assert not [*config.own(settings).glob("kept")]
    elsewhere = f"sqlite:///{tmp_path / 'elsewhere.db'}"
    with prediction_log.open_log(elsewhere).begin() as connection:
        connection.execute(prediction_log.PREDICTIONS.insert(), [answer("2013-04-30-UA1-EWR", 0.5, 1.0)])
    monkeypatch.setenv("PREDICTION_LOG", elsewhere)
    with pytest.raises(UserError, match="has answers already"):
        report.empty_homes(settings)
    monkeypatch.setenv("PREDICTION_LOG", "")
    (folder / client.ADDRESSES).write_text("{}")  # as a sudden end leaves it
    report.empty_homes(settings)
    (folder / client.ADDRESSES).write_text("{}")
    with FileLock(folder / client.LOCK), pytest.raises(UserError, match="make down"):
        report.empty_homes(settings)


def test_what_changes_something_is_told_as_it_happens(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    """Each act on the platform once, whose it was; on a Monday, where there is no terminal, what stands now."""

    class Watched:
        log = config.open_log(settings)

    view = ConsoleView(Watched())  # type: ignore[arg-type]
    view.decided(Decision("2013-05-04", "no_action", "all is well"))
    view.decided(Decision("2013-05-04", "retrain", "it loses more than it promises"))
    experiment_store.end_act(
        Watched.log, experiment_store.begin_act(Watched.log, "loop", "promote", (1, 2), "it is better")
    )
    for day in ("2013-05-05", "2013-05-06"):
        end = pd.Timestamp(day, tz=NEW_YORK).tz_convert("UTC")
        none = pd.DataFrame()
        view.tell(Tick(end - pd.Timedelta(hours=12), end, none, none), ReplayStats(flights=1234, failed=0))
    assert [line.strip() for line in capsys.readouterr().out.splitlines()] == [
        "May 04 retrain: it loses more than it promises",
        "May 05 promote 1 → 2, by loop",
        "May 06  1,234 flights answered, 0 requests failed",
    ]
