"""The simulation of A/B tests: what is drawn, and the error rates of the platform's test on the real year."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from level4_deployment.benchmarks import ab_error_rates
from level4_deployment.benchmarks.ab_error_rates import (
    METHODS,
    MODELS,
    OURS,
    PLAN,
    burst_rates,
    main,
    non_inferior_rates,
    simulate,
)
from level4_deployment.benchmarks.real_days import Days, real_blocks, real_days, symmetric_days
from level4_deployment.experiment import guardrails
from level4_deployment.experiment.design import BETTER, judge
from tests.factories import closed_days


def days_with(means: np.ndarray) -> Days:
    """Days of 600 to 1,000 flights whose mean differences are about these."""
    rng = np.random.default_rng(0)
    flights = rng.integers(600, 1000, len(means)).astype(float)
    parts = [mean + rng.normal(0, 0.1, int(n)) for mean, n in zip(means, flights, strict=True)]
    return Days(np.array([part.sum() for part in parts]), np.array([(part**2).sum() for part in parts]), flights)


@pytest.fixture(scope="module")
def stormy() -> Days:
    """200 independent days whose flights share the day's weather; a paired difference per flight."""
    return days_with(np.random.default_rng(0).standard_t(6, 200) * 0.02)


@pytest.fixture(scope="module")
def replays(stormy: Days) -> Days:
    """300 experiments of 56 days with flipped signs, and a gain."""
    return symmetric_days(stormy, (300, 56), np.random.default_rng(1)).replayed(1.0, 0.008)


def test_day_sums_are_those_of_the_flights_differences() -> None:
    flights = pd.Series(["2013-04-01-AA1-JFK", "2013-04-01-AA2-JFK", "2013-04-02-AA1-JFK"])
    days = real_days(flights, np.array([0.2, 0.4, 0.0]))
    assert days.total == pytest.approx([0.6, 0])
    assert days.squares == pytest.approx([0.2, 0])
    assert days.mean == pytest.approx([0.3, 0])


def test_a_replay_is_as_if_every_flight_had_been_flipped_and_shifted() -> None:
    flights = np.array([0.3, -0.1, 0.2])
    day = Days(flights.sum(keepdims=True), (flights**2).sum(keepdims=True), np.array([3.0]))
    replayed = day.replayed(np.array([-1.0]), 0.05)
    assert replayed.total == pytest.approx([(0.05 - flights).sum()])
    assert replayed.squares == pytest.approx([((0.05 - flights) ** 2).sum()])


def test_blocks_are_whole_weeks_of_centred_days_round_the_year(stormy: Days) -> None:
    numbered = Days(np.arange(200.0), np.arange(200.0) ** 2, np.ones(200))
    drawn = real_blocks(numbered, (500, 28), np.random.default_rng(2)).mean.reshape(500, 4, 7)
    assert set(np.diff(drawn, axis=2).ravel() % 200) == {1.0}
    assert {0.0, 199.0} <= set(drawn[:, :, 3].ravel()), "no day is rarer because it is first or last"
    assert stormy.centred().mean.mean() == pytest.approx(0)
    assert stormy.centred().mean.std() == pytest.approx(stormy.mean.std())


def test_the_simulated_test_decides_like_the_platforms_own(replays: Days) -> None:
    kinds, ends = METHODS[OURS](replays)
    promoted = kinds == BETTER
    assert 0 < promoted.sum() < 300
    for run in range(0, 300, 7):
        verdict = judge(PLAN, closed_days(replays.mean[run], flights=replays.flights[run]))
        assert (verdict.kind == "promote") == promoted[run]
        assert verdict.day == ends[run]


def test_only_real_blocks_show_that_days_come_in_rows(stormy: Days, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ab_error_rates, "REPLAYS", 2000)
    noise = np.random.default_rng(3).standard_normal(201) * 0.02
    pairs = {"independent": stormy, "in rows": days_with(noise[1:] + 0.5 * noise[:-1])}
    found = simulate(pairs, methods=(OURS, "SE x 1", "daily peeking", "by flight"))
    rates = found.groupby(["method", "pair"])[["symmetric", "false", "power"]].mean()
    mean: dict[Any, dict[str, float]] = {key: dict(row) for key, row in rates.iterrows()}
    for pair in ("independent", "in rows"):
        assert mean["SE x 1", pair]["symmetric"] < 0.06
        assert mean["daily peeking", pair]["symmetric"] > 0.1
        assert mean["by flight", pair]["symmetric"] > 0.2
    assert mean["SE x 1", "independent"]["false"] < 0.07
    assert mean["SE x 1", "in rows"]["false"] > 0.08
    assert mean[OURS, "in rows"]["false"] < 0.06
    assert (rates["power"] > rates["false"]).all()


def test_non_inferiority_passes_equal_challengers_and_seldom_one_that_is_worse_by_the_margin(
    stormy: Days, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ab_error_rates, "REPLAYS", 2000)
    found = non_inferior_rates({"independent": stormy})

    def passed(rule: str, worse: float) -> list[float]:
        of_rule = found[(found["rule"] == rule) & (found["worse"] == worse)]
        return of_rule.groupby("days")["passed"].mean().tolist()

    assert passed("margin 0.01", 0.0) == sorted(passed("margin 0.01", 0.0)), "more days, more power"
    assert max(passed("margin 0.01", 0.01)) < 0.05
    assert max(passed("margin 0.01", 0.02)) < 0.01
    assert passed("gain > 0", 0.0) == pytest.approx([0.5] * 4, abs=0.05)


def test_bursts_stop_challengers_where_each_batch_is_a_trial_and_hardly_any_where_a_block_is() -> None:
    rates = burst_rates(records=100)
    assert rates[1] > 0.1
    assert rates[guardrails.BLOCK] <= 0.01


@pytest.mark.slow
def test_on_real_days_the_planned_test_errs_as_seldom_as_is_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ab_error_rates, "REPLAYS", 1000)
    monkeypatch.setattr(ab_error_rates, "MODELS", (MODELS[0][:5], 1))
    monkeypatch.setattr(ab_error_rates, "OTHERS", (MODELS[0][:2], 1))  # one pair: it changes nothing here
    seen: list[pd.DataFrame] = []
    monkeypatch.setattr(ab_error_rates, "show_rates", seen.append)
    main()
    (rates,) = seen
    ours = rates[rates["method"] == OURS]
    assert len(ours) == 8, "four pairs in both orientations"
    assert ours["false"].mean() <= 0.055
    assert ours["false"].max() <= 0.1
    assert ours["power"].mean() >= 0.8
    assert "calibration.png" in capsys.readouterr().out
