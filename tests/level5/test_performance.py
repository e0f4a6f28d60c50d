"""A champion is called broken when it loses more than it promises, and given up when the one before did better."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from level4_deployment import prediction_log
from level5_monitoring.monitors import performance
from level5_monitoring.monitors.performance import (
    beside,
    check_expected_loss,
    check_regression,
    check_severe_regression,
    days_of,
    keep,
    measure,
)

DAYS = [str(day.date()) for day in pd.date_range("2013-04-01", periods=60)]


def window(rows: int = 900, *, shift: float = 0.0, seed: int = 0, day: str = DAYS[0]) -> pd.DataFrame:
    """A day's flights: probabilities, and outcomes whose true log odds are `shift` above them."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(-1, 1, rows)
    truth = 1 / (1 + np.exp(-(odds + shift)))
    return pd.DataFrame(
        {
            "day": day,
            "version": 3,
            "probability": 1 / (1 + np.exp(-odds)),
            "late": (rng.random(rows) < truth).astype(float),
        }
    )


def measured(count: int, **made: float) -> pd.DataFrame:
    lines = [measure(window(seed=i, day=DAYS[i], **made), 3, None) for i in range(count)]  # type: ignore[arg-type]
    return pd.DataFrame(lines).assign(excluded_reason="")


def test_a_model_that_keeps_its_promise_is_left_in_peace_on_every_day() -> None:
    for day in range(14, 57, 7):
        assert check_expected_loss(DAYS[day], 3, measured(day)).state == "ok"


def test_a_model_that_flights_have_left_behind_is_found_with_figures() -> None:
    finding = check_expected_loss(DAYS[27], 3, measured(28, shift=1.0))
    assert finding.state == "alarm"
    assert finding.target == "version 3"
    assert finding.value is not None
    assert finding.value > performance.TOLERANCE
    assert "28 days and 25,200 flights" in finding.message


def test_a_month_with_more_delays_that_the_model_foresees_is_no_alarm() -> None:
    calm, stormy = window(20_000), window(20_000)
    stormy["probability"] = stormy["probability"] ** 0.5
    stormy["late"] = (np.random.default_rng(1).random(len(stormy)) < stormy["probability"]).astype(float)
    for made in (calm, stormy):
        line = measure(made, 3, None)
        assert abs(line["loss"] - line["expected_loss"]) < 0.01  # type: ignore[operator]
    assert measure(stormy, 3, None)["loss"] > measure(calm, 3, None)["loss"]  # type: ignore[operator]


def test_few_days_say_nothing_yet() -> None:
    assert check_expected_loss(DAYS[12], 3, measured(13, shift=3.0)).state == "insufficient data"


def test_only_the_champions_own_answers_with_an_outcome_count() -> None:
    made = window(400)
    made.loc[:99, "version"] = 2
    made.loc[100:149, "late"] = np.nan
    assert measure(made, 3, None)["flights"] == 250
    assert measure(made.head(120), 3, None) == {}, "too few tell nothing"


def against(gain: float, spread: float, count: int) -> pd.DataFrame:
    gains = np.random.default_rng(0).normal(gain, spread, count)
    return pd.DataFrame(
        {"day": DAYS[:count], "flights": 900, "loss": 0.5, "expected_loss": 0.5, "gain": gains, "excluded_reason": ""}
    )


def test_a_disaster_is_seen_on_the_second_day() -> None:
    assert check_severe_regression(DAYS[0], 4, 3, against(-0.2, 0.01, 1)).state == "insufficient data"
    finding = check_severe_regression(DAYS[1], 4, 3, against(-0.2, 0.01, 2))
    assert finding.state == "alarm"
    assert "version 4" in finding.message
    assert "version 3" in finding.message
    assert check_severe_regression(DAYS[1], 4, 3, against(-0.1, 0.01, 2)).state == "ok", "honest models differ by that"


def test_a_new_champion_that_is_a_little_worse_is_seen_in_time() -> None:
    states = [check_regression(DAYS[n - 1], 4, 3, against(-0.01, 0.006, n), []).state for n in range(1, 29)]
    assert "alarm" in states
    assert states.index("alarm") < 28


def test_days_in_doubt_do_not_count() -> None:
    broken, sound = measured(28, shift=1.0), measured(20)
    mixed = pd.concat([sound, broken.assign(excluded_reason="labels")])
    assert check_expected_loss(DAYS[40], 3, mixed).message == check_expected_loss(DAYS[40], 3, sound).message
    bad, good = against(-0.2, 0.01, 9), against(0.0, 0.01, 9)
    upside_down = pd.concat([good, bad.assign(excluded_reason="labels")])
    assert check_regression(DAYS[20], 4, 3, upside_down, []).state == "ok"
    assert check_severe_regression(DAYS[20], 4, 3, upside_down).state == "alarm", "outcomes are wrong for both"
    assert (
        check_severe_regression(DAYS[20], 4, 3, pd.concat([good, bad.assign(excluded_reason="contract")])).state == "ok"
    )


def test_only_days_beside_the_same_version_tell_how_one_does_beside_it() -> None:
    reigns = pd.concat(
        [against(-0.2, 0.01, 5).assign(previous_version=2), against(0.0, 0.01, 3).assign(previous_version=7)]
    )
    assert len(beside(reigns, 7)) == 3
    assert check_severe_regression(DAYS[8], 4, 7, beside(reigns, 7)).state == "ok"


@pytest.mark.parametrize("gain", [0.0, 0.01])
def test_one_that_is_no_worse_is_left_in_peace(gain: float) -> None:
    assert all(check_regression(DAYS[n - 1], 4, 3, against(gain, 0.02, n), []).state != "alarm" for n in range(1, 29))


def test_some_bad_days_do_not_outweigh_what_the_experiment_has_seen() -> None:
    bad = against(-0.02, 0.01, 9)
    assert check_regression(DAYS[8], 4, 3, bad, []).state == "alarm"
    assert check_regression(DAYS[8], 4, 3, bad, list(np.random.default_rng(1).normal(0.03, 0.03, 14))).state == "ok"


def test_the_model_before_is_asked_about_the_flights_that_the_champion_answered() -> None:
    made = window(500)
    made.loc[:99, "version"] = 2
    worse = measure(made, 3, lambda flights: np.full(len(flights), 0.5))
    assert worse["gain"] > 0.05  # type: ignore[operator]
    assert measure(made, 3, lambda flights: flights["probability"].to_numpy())["gain"] == pytest.approx(0)


def test_a_day_is_written_once(tmp_path: Path) -> None:
    log = prediction_log.open_log(prediction_log.url_of(tmp_path))
    for shift in (0.0, 2.0):
        keep(log, measure(window(shift=shift), 3, None))
    kept = days_of(log, 3, DAYS[-1])
    assert len(kept) == 1
    assert kept["loss"].iloc[0] == measure(window(), 3, None)["loss"]
    assert days_of(log, 4, DAYS[-1]).empty
