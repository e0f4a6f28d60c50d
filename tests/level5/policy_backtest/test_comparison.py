"""All policies are scored on the same flights, by models of their own calendar, and compared with the level's aims."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from level4_deployment.experiment import experiment_store
from level4_deployment.experiment.design import Plan
from level4_deployment.prediction_log import EXPERIMENT_DAYS, PREDICTIONS
from level5_monitoring import config
from level5_monitoring.loop import loop_store
from level5_monitoring.monitors.performance import DayPerformance
from level5_monitoring.policy_backtest import calendars, comparison
from level5_monitoring.policy_backtest.comparison import Effort, against_predecessors, gains
from shared.console import console
from shared.errors import UserError
from shared.files import write_parquet
from shared.score import log_losses
from shared.settings import NEW_YORK, Settings
from tests.factories import experiment_day, insert, prediction

FLIGHTS = 40
SHARES = {  # the probability of what really happened
    "frozen": 0.6,
    "six_weeks": 0.65,
    "six_weeks_tried": 0.64,
    "monthly": 0.7,
    "weekly": 0.8,
    "loop": 0.75,
}
NONE = pd.DataFrame({"version": [], "day": [], "flights": [], "gain": []})


def calendar() -> pd.DataFrame:
    """Flights of two weeks and two months, every second one late; weekly is best and frozen worst."""
    late, days = np.arange(FLIGHTS) % 2.0, np.repeat(["2013-04-30", "2013-05-06"], FLIGHTS // 2)
    table = pd.DataFrame(
        {
            "flight_id": [f"{day}-UA{i}-EWR" for i, day in enumerate(days)],
            "scheduled_departure": pd.to_datetime(days).tz_localize(NEW_YORK).tz_convert("UTC"),
            "late": late,
        }
    )
    for name in calendars.CALENDAR:
        chance = np.where(late == 1, SHARES[name], 1 - SHARES[name])
        versions = np.where((days == "2013-05-06") & (name != "frozen"), 2, 1)
        columns = {name: chance, f"{name} version": versions, f"{name} before": np.where(versions == 2, 0.5, np.nan)}
        table = table.assign(**columns)
    return table


def test_each_policy_is_scored_on_the_same_flights(
    level5_settings: Settings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop by its first prediction of each; a flight that the loop has not predicted counts for no policy."""
    monkeypatch.setattr(console, "width", 120)
    table = calendar()
    write_parquet(table, config.own(level5_settings) / calendars.PREDICTIONS_FILE)
    late = zip(table["flight_id"], table["late"], strict=True)
    rows = [prediction(flight, asked_at=1.0, probability=0.25 + 0.5 * late) for flight, late in late][1:]
    again = rows[0] | {"request_id": "again", "asked_at": 2.0, "probability": 0.01}
    with config.open_log(level5_settings) as log:
        insert(log, PREDICTIONS, [*rows, again])
    predictions = calendars.collect_predictions(level5_settings)
    loop = Effort(trainings=2, steps=0, alerts=5, false_alarms=1)
    results = comparison.compare_policies(predictions, loop, NONE)
    scores = {name: (one.score.rows, round(one.score.log_loss, 6)) for name, one in results.items()}
    assert scores == {name: (FLIGHTS - 1, round(-np.log(share), 6)) for name, share in SHARES.items()}
    assert {name: one.effort for name, one in results.items()} == {
        "frozen": Effort(trainings=1, steps=0),
        "six_weeks": Effort(trainings=2, steps=0),
        "six_weeks_tried": Effort(trainings=2, steps=0),
        "monthly": Effort(trainings=2, steps=2),
        "weekly": Effort(trainings=2, steps=0),
        "loop": loop,
    }
    losses = {name: one.score.log_loss for name, one in results.items()}
    assert comparison.summarise(losses) == "never 0.511, monthly 0.357, the loop 0.288"
    assert results["loop"].share == pytest.approx((0.776,) * 3, abs=0.001)
    assert results["loop"].gain == pytest.approx((np.log(0.75 / 0.6),) * 3)
    comparison.show_comparison(predictions, results)
    lines = [re.split(r"\s{3,}", line.strip()) for line in capsys.readouterr().out.splitlines()]
    assert ["monthly", "2", "0", "0", "2"] in lines
    assert ["by the loop", "2", "0", "0", "5", "1", "0"] in lines
    shown = [SHARES[name] for name in comparison.BY_MONTH]
    by_policy = [f"{-np.log(share):.3f}" for share in shown]
    assert [line for line in lines if line and line[0].startswith("2013-0")] == [
        [month, rows, *by_policy] for month, rows in (("2013-04", "19"), ("2013-05", "20"))
    ]


def test_a_version_that_was_worse_than_its_predecessor_counts_with_all_its_days() -> None:
    """By the mean over its flights: a single bad day makes no version worse, and a single good one none better."""
    days = pd.DataFrame(
        [
            (2, "2013-05-01", 900, 0.01),
            (2, "2013-05-02", 900, -0.004),
            (3, "2013-05-03", 900, -0.01),
            (3, "2013-05-04", 100, 0.02),
            (4, "2013-05-05", 900, -0.001),
        ],
        columns=["version", "day", "flights", "gain"],
    )
    assert against_predecessors(days) == (3, 2)
    assert against_predecessors(NONE) == (0, 0)


def test_the_loop_lives_as_champion_and_while_its_challenger_answers_most_flights(level5_settings: Settings) -> None:
    """Not in shadow, nor on the days of a first champion, which had none before it."""
    with config.open_log(level5_settings) as log:
        made = experiment_store.new_experiment(log, 1, 2, Plan(share=0.9), "loop")
        experiment_store.save(log, made)
        for day, arms in (("2013-05-01", (0, 0)), ("2013-05-02", (90, 810))):
            row = experiment_day(made.experiment, day, -0.002)
            insert(log, EXPERIMENT_DAYS, row | {"champion_arm": arms[0], "challenger_arm": arms[1]})
        loop_store.save_performance(log, measured("2013-05-02", 1, None, None))
        loop_store.save_performance(log, measured("2013-05-03", 2, 1, 0.001))
    days = comparison.days_of_loop(level5_settings).sort_values("day")
    assert days[["version", "day", "gain"]].to_numpy().tolist() == [[2, "2013-05-02", -0.002], [2, "2013-05-03", 0.001]]


def measured(day: str, version: int, previous: int | None, gain: float | None) -> DayPerformance:
    return DayPerformance(day, version, 900, 0.2, 0.2, loss=0.45, previous_version=previous, gain=gain)


def test_the_interval_of_a_share_comes_from_blocks_of_days() -> None:
    """A policy that has half of weekly's gain on each day has a share of 50% without spread; by turns, with spread."""
    rng = np.random.default_rng(0)
    days = pd.date_range("2013-04-01", periods=84).strftime("%Y-%m-%d")
    table = pd.DataFrame({"flight_id": np.repeat(days, 50), "late": rng.integers(0, 2, 84 * 50).astype(float)})
    right, by_turns = table["late"] == 1, np.repeat(np.arange(84) // 14 % 2, 50) == 1
    between = np.exp(-(log_losses([1], [0.6])[0] + log_losses([1], [0.8])[0]) / 2)
    chances = {"frozen": 0.6, "weekly": 0.8, "half": between, "by_turns": np.where(by_turns, 0.8, 0.6)}
    for name, chance in chances.items():
        table[name] = np.where(right, chance, 1 - chance)
    gained = gains(table, [*chances])
    assert gained["frozen"] == ((0, 0, 0), (0, 0, 0))
    gain, share = gained["half"]
    assert gain == pytest.approx((np.log(0.8 / 0.6) / 2,) * 3)
    assert share == pytest.approx((0.5, 0.5, 0.5))
    _, (middle, low, high) = gained["by_turns"]
    assert middle == pytest.approx(0.5)
    assert low < 0.3
    assert high > 0.7


def test_each_missed_aim_is_named_with_its_figure(level5_settings: Settings) -> None:
    table = calendar().assign(loop=lambda table: table["weekly"])
    good = Effort(trainings=8, steps=0, alerts=5, false_alarms=0)
    results = comparison.compare_policies(table, good, NONE)
    weekly = replace(results["weekly"], effort=Effort(trainings=40, steps=0))
    comparison.keep_results(level5_settings, results | {"weekly": weekly}, failed=0, faults=False)
    assert comparison.missed_aims(level5_settings) == []
    comparison.keep_results(level5_settings, results | {"weekly": weekly}, failed=0, faults=True)
    [missed] = comparison.missed_aims(level5_settings)
    assert missed == "better: weekly 0.2231, the loop 0.2231", "with faults, better than every calendar"
    worse = table.assign(loop=np.where(table["late"] == 1, 0.69, 0.31))
    results = comparison.compare_policies(worse, replace(good, trainings=9, steps=1), NONE)
    comparison.keep_results(level5_settings, results | {"weekly": weekly}, failed=3, faults=False)
    assert [line.split(",")[0] for line in comparison.missed_aims(level5_settings)] == [
        "49% of weekly's gain over never",
        "better with no more trainings: monthly 0.3567",
        "9 trainings",
        "1 manual steps",
        "3 failed requests",
    ]
    with pytest.raises(UserError, match=r"missed its aims.*9 trainings.*Remedy"):
        comparison.check_aims(level5_settings)


def test_before_the_first_year_there_is_nothing_to_check(level5_settings: Settings) -> None:
    with pytest.raises(UserError, match="Remedy: make level5"):
        comparison.check_aims(level5_settings)
