"""A champion is in alarm when it is badly calibrated, has no skill, or the previous champion would do better."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from level5_monitoring.monitors.monitor_result import CHAMPION
from level5_monitoring.monitors.performance import (
    LARGEST_GAP,
    MIN_DAYS,
    QUALITY_CHECKS,
    DayPerformance,
    Previous,
    base_rate,
    check_calibration,
    check_calibration_slope,
    check_champion,
    check_regression,
    check_severe_regression,
    check_skill,
    measure,
)

BASE = 0.3  # about the share late of the flights below
DAYS = [str(day.date()) for day in pd.date_range("2013-04-01", periods=60)]


def window(rows: int = 900, *, shift: float = 0.0, seed: int = 0, day: str = DAYS[0]) -> pd.DataFrame:
    """A day's flights: probabilities, and labels whose true log odds are `shift` above them."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(-1, 1, rows)
    truth = 1 / (1 + np.exp(-(odds + shift)))
    late = (rng.random(rows) < truth).astype(float)
    return pd.DataFrame({"day": day, "version": 3, "probability": 1 / (1 + np.exp(-odds)), "late": late})


def measured(made: pd.DataFrame, version: int = 3, rate: float | None = None) -> DayPerformance:
    day = measure(made, version, rate=rate)
    assert day
    return day


def month(model: Callable[[NDArray[Any]], NDArray[Any]], seed: int, base: float | None = BASE) -> pd.DataFrame:
    """31 days of a version that gives flights the log odds that `model` makes of the true ones; base: rate before it.

    Weather moves the true log odds of each day, by 0.35 (standard deviation), and no version knows it.
    """
    weather = np.random.default_rng(seed).normal(0, 0.35, 31)
    made = []
    for i, day in enumerate(DAYS[:31]):
        flights = window(seed=100 * seed + i, day=day, shift=weather[i])
        flights["probability"] = expit(model(logit(flights["probability"].to_numpy())))
        made.append(measured(flights, rate=base))
    return pd.DataFrame(made)


def first_alarms(days: pd.DataFrame) -> dict[str, int]:
    """By monitor, the first day (from 1) on which it is in alarm."""
    first: dict[str, int] = {}
    for number in range(MIN_DAYS, len(days) + 1):
        for check in QUALITY_CHECKS:
            result = check(DAYS[number - 1], 3, days.head(number))
            if result.state == "alarm":
                first.setdefault(result.monitor, number)
    return first


def test_a_sound_model_is_no_alarm_on_any_day_of_nine_months() -> None:
    assert [first_alarms(month(lambda odds: odds, seed)) for seed in range(9)] == [{}] * 9


@pytest.mark.parametrize(
    ("model", "monitor", "blind"),
    [
        (lambda odds: odds + np.log(2.7), "calibration", ""),  # too high, which observed minus expected loss cannot see
        (lambda odds: odds - np.log(2.7), "calibration", ""),
        (lambda odds: logit(BASE) + 2.0 * (odds - logit(BASE)), "calibration_slope", "skill"),  # sharpened
        (lambda odds: logit(BASE) + 0.4 * (odds - logit(BASE)), "calibration_slope", "skill"),  # squeezed
        (lambda odds: np.full(len(odds), logit(BASE) + 0.01), "skill", "calibration"),  # the base rate for all flights
    ],
)
def test_each_kind_of_bad_model_is_an_alarm_of_its_monitor_within_16_days(
    model: Callable[[NDArray[Any]], NDArray[Any]], monitor: str, blind: str
) -> None:
    """blind: the monitor that cannot see it, because the mean is right or the model still separates late flights."""
    found = first_alarms(month(model, seed=1))
    assert found[monitor] <= 16
    assert blind not in found


def test_an_alarm_has_its_figures_and_its_unit() -> None:
    result = check_calibration(DAYS[30], 3, month(lambda odds: odds + 1, seed=1))
    assert (result.state, result.target, result.version) == ("alarm", CHAMPION, 3)
    assert result.value is not None
    assert result.value > LARGEST_GAP
    assert "share late minus mean probability is -0.1" in result.message
    assert "31 days and 27,900 flights" in result.message


def test_skill_of_a_coin_by_hand() -> None:
    """Base rate 1/4, a quarter late: the base rate costs ln 4 - 3/4 ln 3 = 0.5623 nats, a coin ln 2: skill -0.2326."""
    coin = pd.DataFrame({"day": DAYS[0], "version": 3, "probability": 0.5, "late": [1.0, 0.0, 0.0, 0.0] * 200})
    days = pd.DataFrame([measure(coin, 3, rate=0.25)] * 14)
    result = check_skill(DAYS[20], 3, days)
    assert (result.state, result.rows) == ("alarm", 14 * 800)
    assert result.value == pytest.approx(-0.2326, abs=1e-4), "equal days: no spread"


def test_the_slope_is_that_of_a_regression_of_the_outcomes() -> None:
    """One step from 1 towards the maximum of the likelihood, which scikit-learn finds: near 1, they agree."""
    odds = np.random.default_rng(0).normal(-1, 1, 200_000)
    late = (np.random.default_rng(1).random(len(odds)) < expit(odds)).astype(float)
    distance = 1.05 * (odds - logit(BASE))
    made = pd.DataFrame({"day": DAYS[0], "version": 3, "probability": expit(logit(BASE) + distance), "late": late})
    fitted = LogisticRegression(C=np.inf).fit(np.column_stack([distance, np.ones(len(odds))]), late).coef_[0, 0]
    result = check_calibration_slope(DAYS[20], 3, pd.DataFrame([measure(made, 3, rate=BASE)] * 14))
    assert f"slope is {fitted:.2f}" in result.message


def test_few_days_are_insufficient() -> None:
    days = month(lambda odds: odds + 3, seed=1)
    without_base_rate = month(lambda odds: odds + 3, seed=1, base=None)
    assert {check(DAYS[12], 3, days.head(13)).state for check in QUALITY_CHECKS} == {"insufficient data"}
    states = [check(DAYS[30], 3, without_base_rate).state for check in QUALITY_CHECKS]
    assert states == ["alarm", "insufficient data", "insufficient data"]


def test_the_base_rate_is_that_of_the_newest_days_that_count() -> None:
    day = DayPerformance("", 3, 900, late_share=0.2, mean_probability=0.5, loss=0.5)
    days = pd.DataFrame([replace(day, day=name, version=2 + i // 20) for i, name in enumerate(DAYS[:40])])
    assert base_rate(days) == pytest.approx(0.2)
    assert base_rate(days.head(6)) is None
    days.loc[:6, "late_share"] = 0.9  # more than 28 counted days ago
    days.loc[35:, ["late_share", "excluded_reason"]] = 0.9, "labels"
    days.loc[30, ["late_share", "flights"]] = 0.5, 1800
    assert base_rate(days) == pytest.approx((27 * 900 * 0.2 + 1800 * 0.5) / (29 * 900))


def test_a_certain_error_is_finite_and_a_day_without_both_outcomes_has_no_auc() -> None:
    """Worked by hand: a probability of 0 for a late flight costs -ln 1e-15 = 34.5 nats."""
    wrong = measured(window().assign(probability=0.0, late=1.0), rate=BASE)
    assert wrong.loss == pytest.approx(34.5, abs=0.1)
    assert wrong.slope_score
    assert np.isfinite(wrong.slope_score)
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
    better = check_severe_regression(DAYS[1], 4, 3, compared(0.02, 0.001, 2))
    assert "its loss minus that of version 3 is -0.02" in better.message


def test_a_new_champion_that_is_a_little_worse_is_an_alarm_in_time() -> None:
    states = [check_regression(DAYS[n - 1], 4, 3, compared(-0.01, 0.006, n), []).state for n in range(1, 29)]
    assert "alarm" in states


def test_excluded_days_do_not_count() -> None:
    sound = month(lambda odds: odds, seed=1)
    broken = sound.assign(late_share=1 - sound["late_share"], loss=3.0, excluded_reason="labels")
    for check in QUALITY_CHECKS:
        assert check(DAYS[30], 3, pd.concat([sound, broken])) == check(DAYS[30], 3, sound)
    bad, good = compared(-0.2, 0.01, 9), compared(0.0, 0.01, 9)
    inverted = pd.concat([good, bad.assign(excluded_reason="labels")])
    assert check_regression(DAYS[20], 4, 3, inverted, []).state == "ok"
    assert check_severe_regression(DAYS[20], 4, 3, inverted).state == "alarm", "labels are wrong for both models"
    wrong_inputs = pd.concat([good, bad.assign(excluded_reason="contract")])
    assert check_severe_regression(DAYS[20], 4, 3, wrong_inputs).state == "ok"


def test_only_days_compared_with_the_same_version_count() -> None:
    both = pd.concat([compared(-0.2, 0.01, 5).assign(previous_version=2), compared(0.0, 0.01, 3)])
    *_, severe, regression = check_champion(DAYS[8], 4, both, previous=3)
    assert (severe.state, severe.rows) == ("ok", 3 * 900)
    assert "3 of 7 days compared with version 3" in regression.message


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
    worse = measure(made, 3, Previous(2, lambda flights: np.full(len(flights), 0.5)))
    assert worse
    assert worse.gain
    assert worse.gain > 0.05
    same = measure(made, 3, Previous(2, lambda flights: flights["probability"].to_numpy()))
    assert same
    assert same.gain == pytest.approx(0)
