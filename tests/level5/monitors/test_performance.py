"""A champion is in alarm when it is badly calibrated, has no skill, or the previous champion would do better."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.special import expit, logit

from level5_monitoring.monitors.monitor_result import CHAMPION
from level5_monitoring.monitors.performance import (
    TOLERATED_GAP,
    DayPerformance,
    check_calibration,
    check_regression,
    check_severe_regression,
    check_skill,
    compared_with,
    measure,
)

DAYS = [str(day.date()) for day in pd.date_range("2013-04-01", periods=60)]


def window(rows: int = 900, *, shift: float = 0.0, seed: int = 0, day: str = DAYS[0]) -> pd.DataFrame:
    """A day's flights: probabilities, and labels whose true log odds are `shift` above them."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(-1, 1, rows)
    truth = 1 / (1 + np.exp(-(odds + shift)))
    late = (rng.random(rows) < truth).astype(float)
    return pd.DataFrame({"day": day, "version": 3, "probability": 1 / (1 + np.exp(-odds)), "late": late})


def measured(made: pd.DataFrame, version: int = 3) -> DayPerformance:
    day = measure(made, version)
    assert day
    return day


def month(model: Callable[[NDArray[Any]], NDArray[Any]], seed: int) -> pd.DataFrame:
    """28 days of version 2, then 31 of version 3, which gives flights the log odds that `model` makes of the true ones.

    Weather moves the true log odds of each day, by 0.35 (standard deviation), and no version knows it.
    """
    weather = np.random.default_rng(seed).normal(0, 0.35, len(DAYS))
    made = []
    for i, day in enumerate(DAYS[:59]):
        flights = window(seed=100 * seed + i, day=day, shift=weather[i])
        if i >= 28:
            flights["probability"] = expit(model(logit(flights["probability"].to_numpy())))
        version = 3 if i >= 28 else 2
        made.append(measured(flights.assign(version=version), version))
    return pd.DataFrame(made)


def first_alarms(days: pd.DataFrame) -> dict[str, int]:
    """By monitor, the first day of version 3 (from 1) on which it is in alarm."""
    first: dict[str, int] = {}
    for number in range(1, 32):
        until = days.head(28 + number)
        for check in (check_calibration, check_skill):
            result = check(DAYS[27 + number], 3, until)
            if result.state == "alarm":
                first.setdefault(result.monitor, number)
    return first


def test_a_sound_model_is_no_alarm_on_any_day_of_nine_months() -> None:
    assert [first_alarms(month(lambda odds: odds, seed)) for seed in range(9)] == [{}] * 9


@pytest.mark.parametrize("factor", [2.7, 1 / 2.7])
def test_odds_that_are_wrong_in_either_direction_are_an_alarm_of_calibration_within_16_days(factor: float) -> None:
    """Above all predictions that are too high, which observed minus expected loss cannot see."""
    assert first_alarms(month(lambda odds: odds + np.log(factor), seed=1))["calibration"] <= 16


def test_the_base_rate_for_all_flights_is_an_alarm_of_skill_within_16_days() -> None:
    """Its mean is right, so calibration in the large cannot see it."""
    late = float(month(lambda odds: odds, seed=1)["late_share"].mean())
    found = first_alarms(month(lambda odds: np.full(len(odds), logit(late)), seed=1))
    assert found["skill"] <= 16
    assert "calibration" not in found


def test_an_alarm_has_its_figures_and_its_unit() -> None:
    days = month(lambda odds: odds + 1, seed=1)
    result = check_calibration(DAYS[58], 3, days)
    assert (result.state, result.target, result.version) == ("alarm", CHAMPION, 3)
    assert result.value is not None
    assert result.value > TOLERATED_GAP
    assert "share late minus mean probability is -0.1" in result.message
    assert "31 days and 27,900 flights" in result.message


def test_skill_of_a_coin_by_hand_against_the_base_rate_of_the_days_before() -> None:
    """Base rate 1/4, a quarter late: the base rate costs ln 4 - 3/4 ln 3 = 0.5623 nats, a coin ln 2: skill -0.2326."""
    day = DayPerformance("", 3, 900, late_share=0.25, mean_probability=0.5, loss=float(np.log(2)))
    days = pd.DataFrame([replace(day, day=name, version=2 if i < 7 else 3) for i, name in enumerate(DAYS[:21])])
    result = check_skill(DAYS[20], 3, days)
    assert (result.state, result.rows) == ("alarm", 14 * 900)
    assert result.value == pytest.approx(-0.2326, abs=1e-4), "equal days: no spread"


def test_a_month_with_more_delays_that_the_model_foresees_is_no_alarm() -> None:
    """The loss of a stormy month is higher, its gap and its skill are not."""
    calm, stormy = (month(lambda odds: odds, seed=1) for _ in range(2))
    extra = stormy.index >= 28
    stormy.loc[extra, ["late_share", "mean_probability", "loss"]] += 0.1
    assert check_calibration(DAYS[58], 3, stormy).value == check_calibration(DAYS[58], 3, calm).value


def test_few_days_are_insufficient() -> None:
    days = month(lambda odds: odds + 3, seed=1)
    assert check_calibration(DAYS[40], 3, days.head(28 + 13)).state == "insufficient data"
    assert check_skill(DAYS[40], 3, days.head(28 + 13)).state == "insufficient data"
    assert check_skill(DAYS[48], 3, days.iloc[28 : 28 + 20]).state == "insufficient data", "6 days have no base rate"


def test_a_certain_error_is_finite_and_a_day_without_both_outcomes_has_no_auc() -> None:
    """Worked by hand: a probability of 0 for a late flight costs -ln 1e-15 = 34.5 nats."""
    assert measured(window().assign(probability=0.0, late=1.0)).loss == pytest.approx(34.5, abs=0.1)
    assert measured(window().assign(late=1.0)).auc is None


def test_only_the_champions_own_predictions_with_a_label_count() -> None:
    made = window(400)
    made.loc[:99, "version"] = 2
    made.loc[100:149, "late"] = np.nan
    assert measured(made).flights == 250
    assert measure(made.head(120), 3) is None, "too few flights"


def compared(gain: float, spread: float, count: int) -> pd.DataFrame:
    """Days on which the previous champion's loss minus the champion's was `gain` on average."""
    gains = np.random.default_rng(0).normal(gain, spread, count)
    day = DayPerformance("", 4, 900, 0.2, 0.2, loss=0.5, auc=0.7, previous_version=3)
    return pd.DataFrame([replace(day, day=name, gain=one) for name, one in zip(DAYS, gains, strict=False)])


def test_a_severe_regression_is_an_alarm_on_the_second_day() -> None:
    assert check_severe_regression(DAYS[0], 4, 3, compared(-0.2, 0.01, 1)).state == "insufficient data"
    result = check_severe_regression(DAYS[1], 4, 3, compared(-0.2, 0.01, 2))
    assert (result.state, result.version) == ("alarm", 4)
    assert "version 3" in result.message
    assert check_severe_regression(DAYS[1], 4, 3, compared(-0.1, 0.01, 2)).state == "ok", "sound models differ by that"


def test_a_new_champion_that_is_a_little_worse_is_an_alarm_in_time() -> None:
    states = [check_regression(DAYS[n - 1], 4, 3, compared(-0.01, 0.006, n), []).state for n in range(1, 29)]
    assert "alarm" in states


def test_excluded_days_do_not_count() -> None:
    sound = month(lambda odds: odds, seed=1)
    broken = sound.assign(late_share=1 - sound["late_share"], loss=3.0, excluded_reason="labels")
    for check in (check_calibration, check_skill):
        assert check(DAYS[58], 3, pd.concat([sound, broken])) == check(DAYS[58], 3, sound)
    bad, good = compared(-0.2, 0.01, 9), compared(0.0, 0.01, 9)
    inverted = pd.concat([good, bad.assign(excluded_reason="labels")])
    assert check_regression(DAYS[20], 4, 3, inverted, []).state == "ok"
    assert check_severe_regression(DAYS[20], 4, 3, inverted).state == "alarm", "labels are wrong for both models"
    wrong_inputs = pd.concat([good, bad.assign(excluded_reason="contract")])
    assert check_severe_regression(DAYS[20], 4, 3, wrong_inputs).state == "ok"


def test_only_days_compared_with_the_same_version_count() -> None:
    both = pd.concat([compared(-0.2, 0.01, 5).assign(previous_version=2), compared(0.0, 0.01, 3)])
    assert len(compared_with(both, 3)) == 3
    assert check_severe_regression(DAYS[8], 4, 3, compared_with(both, 3)).state == "ok"


@pytest.mark.parametrize("gain", [0.0, 0.01])
def test_one_that_is_no_worse_is_no_alarm(gain: float) -> None:
    states = {check_regression(DAYS[n - 1], 4, 3, compared(gain, 0.02, n), []).state for n in range(1, 29)}
    assert states == {"insufficient data", "ok"}


def test_some_bad_days_do_not_outweigh_what_the_experiment_has_measured() -> None:
    bad = compared(-0.02, 0.01, 9)
    assert check_regression(DAYS[8], 4, 3, bad, []).state == "alarm"
    assert check_regression(DAYS[8], 4, 3, bad, list(np.random.default_rng(1).normal(0.03, 0.03, 14))).state == "ok"


def test_the_previous_model_predicts_the_flights_that_the_champion_predicted() -> None:
    made = window(500)
    made.loc[:99, "version"] = 2
    worse = measure(made, 3, lambda flights: np.full(len(flights), 0.5))
    assert worse
    assert worse.gain
    assert worse.gain > 0.05
    same = measure(made, 3, lambda flights: flights["probability"].to_numpy())
    assert same
    assert same.gain == pytest.approx(0)
