"""A champion is in alarm when its loss exceeds its expected loss, and when the previous champion would do better."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from level5_monitoring.monitors import performance
from level5_monitoring.monitors.monitor_result import CHAMPION
from level5_monitoring.monitors.performance import (
    DayPerformance,
    check_expected_loss,
    check_regression,
    check_severe_regression,
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


def days(count: int, shift: float = 0.0) -> pd.DataFrame:
    return pd.DataFrame([measured(window(seed=i, day=DAYS[i], shift=shift)) for i in range(count)])


def test_a_sound_model_is_no_alarm_on_any_day() -> None:
    for day in range(14, 57, 7):
        assert check_expected_loss(DAYS[day], 3, days(day)).state == "ok"


def test_a_model_whose_flights_have_changed_is_an_alarm_with_figures() -> None:
    result = check_expected_loss(DAYS[27], 3, days(28, shift=1.0))
    assert (result.state, result.target, result.version) == ("alarm", CHAMPION, 3)
    assert result.value is not None
    assert result.value > performance.TOLERANCE
    assert "28 days and 25,200 flights" in result.message


def test_a_month_with_more_delays_that_the_model_foresees_is_no_alarm() -> None:
    calm, stormy = window(20_000), window(20_000)
    stormy["probability"] = stormy["probability"] ** 0.5
    stormy["late"] = (np.random.default_rng(1).random(len(stormy)) < stormy["probability"]).astype(float)
    for day in (measured(calm), measured(stormy)):
        assert abs(day.loss - day.expected_loss) < 0.01
    assert measured(stormy).loss > measured(calm).loss


def test_the_expected_loss_of_a_coin_is_ln_2_and_a_certain_error_is_finite() -> None:
    """Worked by hand: H(1/2) = ln 2; a probability of 0 for a late flight costs -ln 1e-15 = 34.5 nats."""
    coin = window().assign(probability=0.5)
    assert measured(coin).expected_loss == pytest.approx(np.log(2))
    assert measured(coin).loss == pytest.approx(np.log(2))
    assert measured(window().assign(probability=0.0, late=1.0)).loss == pytest.approx(34.5, abs=0.1)
    assert measured(window().assign(late=1.0)).auc is None


def test_few_days_are_insufficient() -> None:
    assert check_expected_loss(DAYS[12], 3, days(13, shift=3.0)).state == "insufficient data"


def test_only_the_champions_own_predictions_with_a_label_count() -> None:
    made = window(400)
    made.loc[:99, "version"] = 2
    made.loc[100:149, "late"] = np.nan
    assert measured(made).flights == 250
    assert measure(made.head(120), 3) is None, "too few flights"


def compared(gain: float, spread: float, count: int) -> pd.DataFrame:
    """Days on which the previous champion's loss minus the champion's was `gain` on average."""
    gains = np.random.default_rng(0).normal(gain, spread, count)
    day = DayPerformance("", 4, 900, 0.5, 0.5, 0.7, previous_version=3)
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
    broken, sound = days(28, shift=1.0), days(20)
    mixed = pd.concat([sound, broken.assign(excluded_reason="labels")])
    assert check_expected_loss(DAYS[40], 3, mixed).message == check_expected_loss(DAYS[40], 3, sound).message
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
