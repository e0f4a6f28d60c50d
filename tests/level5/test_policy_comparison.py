"""All policies are scored on the same flights, by models of their own calendar, and compared with the level's aims."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from level4_deployment.prediction_log import PREDICTIONS
from level5_monitoring import config, policy_comparison
from level5_monitoring.policy_comparison import Effort
from shared.errors import UserError
from shared.files import write_parquet
from shared.settings import NEW_YORK, Settings
from tests.factories import insert, prediction

FLIGHTS = 40
START = pd.Timestamp("2013-04-01", tz=NEW_YORK).tz_convert("UTC")
SHARES = {"frozen": 0.6, "monthly": 0.7, "weekly": 0.8, "loop": 0.75}  # the probability of what really happened


def calendar() -> pd.DataFrame:
    """Flights of two weeks and two months, every second one late; weekly is best and frozen worst."""
    late, days = np.arange(FLIGHTS) % 2.0, np.repeat(["2013-04-30", "2013-05-06"], FLIGHTS // 2)
    about = {
        "flight_id": [f"{day}-UA{i}-EWR" for i, day in enumerate(days)],
        "scheduled_departure": pd.to_datetime(days).tz_localize(NEW_YORK).tz_convert("UTC"),
        "late": late,
        "week": np.repeat(["2013-04-29", "2013-05-06"], FLIGHTS // 2),
    }
    chances = {name: np.where(late == 1, SHARES[name], 1 - SHARES[name]) for name in policy_comparison.CALENDAR}
    return pd.DataFrame(about | chances)


def process(code: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", code])


def test_each_policy_is_scored_on_the_same_flights(
    level5_settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    """The loop by its first prediction of each; a flight that the loop has not predicted counts for no policy."""
    table = calendar()
    write_parquet(table, config.own(level5_settings) / policy_comparison.PREDICTIONS_FILE)
    late = zip(table["flight_id"], table["late"], strict=True)
    rows = [prediction(flight, asked_at=1.0, probability=0.25 + 0.5 * late) for flight, late in late][1:]
    again = rows[0] | {"request_id": "again", "asked_at": 2.0, "probability": 0.01}
    with config.open_log(level5_settings) as log:
        insert(log, PREDICTIONS, [*rows, again])
    predictions = policy_comparison.collect_predictions(level5_settings, process("pass"))
    loop = Effort(trainings=2, steps=0, alerts=5, false_alarms=1)
    results = policy_comparison.compare_policies(predictions, loop)
    scores = {name: (one.score.rows, round(one.score.log_loss, 6)) for name, one in results.items()}
    assert scores == {name: (FLIGHTS - 1, round(-np.log(share), 6)) for name, share in SHARES.items()}
    assert {name: one.effort for name, one in results.items()} == {
        "frozen": Effort(trainings=1, steps=0),
        "monthly": Effort(trainings=2, steps=2),
        "weekly": Effort(trainings=2, steps=0),
        "loop": loop,
    }
    assert policy_comparison.summarise(results).startswith("log loss +28.9% compared with weekly")
    policy_comparison.show_comparison(predictions, results)
    lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in capsys.readouterr().out.splitlines()]
    assert ["monthly, by hand", "2", "", "", "2"] in lines
    assert ["by the loop", "2", "5", "1", "0"] in lines
    losses = [f"{-np.log(share):.4f}" for share in SHARES.values()]
    gaps = [f"{1 - share:.4f}" for share in SHARES.values()]
    assert [line for line in lines if line and line[0].startswith("2013-0")] == [
        [month, rows, *figures]
        for figures in (losses, ["1.0000"] * 4, gaps)
        for month, rows in (("2013-04", "19"), ("2013-05", "20"))
    ]


def test_each_prediction_comes_from_the_newest_model_of_its_policy(
    flights: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The models here predict how many flights they know, which shows on which day each was trained."""
    spring = flights[flights["predicted_at"] < START + pd.Timedelta(days=50)]
    monkeypatch.setattr(policy_comparison.data, "sample", lambda known, _day: known)
    monkeypatch.setattr(policy_comparison, "fit_features", lambda inputs, _late, **_plan: len(inputs))
    monkeypatch.setattr(policy_comparison, "predict_features", lambda rows, inputs: np.full(len(inputs), float(rows)))
    found = policy_comparison.predict_by_calendar(spring, START)

    def known_on(day: str) -> int:
        return int((spring["late"].notna() & (spring["label_known_at"] < pd.Timestamp(day, tz=NEW_YORK))).sum())

    for day, trained in {  # by frozen, monthly, weekly
        "2013-04-03": ("2013-04-01", "2013-04-01", "2013-04-01"),
        "2013-04-10": ("2013-04-01", "2013-04-01", "2013-04-08"),
        "2013-05-03": ("2013-04-01", "2013-04-01", "2013-04-29"),
        "2013-05-08": ("2013-04-01", "2013-05-06", "2013-05-06"),
        "2013-05-15": ("2013-04-01", "2013-05-06", "2013-05-13"),
    }.items():
        rows = found[found["flight_id"].str.startswith(day)]
        models = [{*rows[policy]} for policy in policy_comparison.CALENDAR]
        assert models == [{known_on(one)} for one in trained], day
        assert {*rows["week"]} == {trained[-1]}


def test_each_missed_aim_is_named_with_its_figure(level5_settings: Settings) -> None:
    table = calendar().assign(loop=lambda table: table["weekly"])
    good = Effort(trainings=8, steps=0, alerts=5, false_alarms=0)
    results = policy_comparison.compare_policies(table, good)
    weekly = replace(results["weekly"], effort=Effort(trainings=40, steps=0))
    policy_comparison.keep_results(level5_settings, results | {"weekly": weekly}, failed=0)
    assert policy_comparison.missed_aims(level5_settings) == []
    worse = table.assign(loop=np.where(table["late"] == 1, 0.79, 0.21))
    results = policy_comparison.compare_policies(worse, replace(good, trainings=9, steps=1))
    policy_comparison.keep_results(level5_settings, results | {"weekly": weekly}, failed=3)
    assert [line.split(",")[0] for line in policy_comparison.missed_aims(level5_settings)] == [
        "log loss +5.64% compared with weekly retraining",
        "9 trainings",
        "1 manual steps",
        "3 failed requests",
    ]
    with pytest.raises(UserError, match=r"missed its aims.*9 trainings.*Remedy"):
        policy_comparison.check_aims(level5_settings)


def test_before_the_first_year_there_is_nothing_to_check(level5_settings: Settings) -> None:
    with pytest.raises(UserError, match="Remedy: make level5"):
        policy_comparison.check_aims(level5_settings)


def test_a_failed_training_by_the_calendar_names_its_log(level5_settings: Settings) -> None:
    with pytest.raises(UserError, match=r"calendar_policies\.log"):
        policy_comparison.collect_predictions(level5_settings, process("raise SystemExit(1)"))
