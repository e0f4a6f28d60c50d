"""The simulation of A/B tests: what is replayed, and the error rates of the platform's test on the real year."""

import numpy as np
import pandas as pd
import pytest

from level4_deployment.benchmarks import ab_error_rates
from level4_deployment.benchmarks.ab_error_rates import (
    DAILY,
    EFFECT,
    METHODS,
    OURS,
    WEEKLY,
    Days,
    main,
    real_days,
    simulate,
)
from level4_deployment.experiment.design import judge
from tests.factories import closed_days


@pytest.fixture(scope="module")
def stormy() -> Days:
    """200 days whose flights share the day's weather, as real ones do; a paired difference per flight."""
    rng = np.random.default_rng(0)
    flights = rng.integers(600, 1000, 200).astype(float)
    means = rng.standard_t(4, 200) * 0.02
    parts = [mean + rng.normal(0, 0.1, int(n)) for mean, n in zip(means, flights, strict=True)]
    return Days(np.array([part.sum() for part in parts]), np.array([(part**2).sum() for part in parts]), flights)


@pytest.fixture(scope="module")
def replays(stormy: Days) -> Days:
    """300 stretches of 56 days with flipped signs."""
    rng = np.random.default_rng(1)
    where = rng.integers(0, 145, (300, 1)) + np.arange(56)
    return stormy.at(where).replayed(rng.choice([-1.0, 1.0], where.shape), 0.01)


def test_day_sums_are_those_of_both_models_losses() -> None:
    later = pd.DataFrame(
        {"flight_id": ["2013-04-01-AA1-JFK", "2013-04-01-AA2-JFK", "2013-04-02-AA1-JFK"], "late": [1.0, 0.0, 0.0]}
    )
    days = real_days(later, np.array([0.5, 0.5, 0.5]), np.array([0.8, 0.2, 0.5]))
    gain = np.log(0.8 / 0.5)
    assert days.total == pytest.approx([2 * gain, 0])
    assert days.squares == pytest.approx([2 * gain**2, 0])
    assert days.mean == pytest.approx([gain, 0])


def test_a_replay_is_as_if_every_flight_had_been_flipped_and_shifted() -> None:
    flights = np.array([0.3, -0.1, 0.2])
    day = Days(flights.sum(keepdims=True), (flights**2).sum(keepdims=True), np.array([3.0]))
    replayed = day.replayed(np.array([-1.0]), 0.05)
    assert replayed.total == pytest.approx([(0.05 - flights).sum()])
    assert replayed.squares == pytest.approx([((0.05 - flights) ** 2).sum()])


@pytest.mark.parametrize(("name", "plan"), [(OURS, DAILY), ("sequential, weeks", WEEKLY)])
def test_the_simulated_test_decides_like_the_platforms_own(name: str, plan: ab_error_rates.Plan, replays: Days) -> None:
    promoted, ends = METHODS[name](replays)
    assert 0 < promoted.sum() < 300
    for run in range(0, 300, 7):
        verdict = judge(plan, closed_days(replays.mean[run], flights=replays.flights[run]))
        assert (verdict.kind == "promote") == promoted[run]
        assert verdict.day == ends[run]


def test_z_by_flight_is_of_the_same_means_with_too_small_an_error(replays: Days) -> None:
    by_flight, by_day = (z(replays)[:, 55] for z in (ab_error_rates.z_by_flight, ab_error_rates.z_by_day))
    assert np.corrcoef(by_flight, by_day)[0, 1] > 0.95
    assert by_flight.std() > 2 * by_day.std()


def test_honest_tests_have_error_rates_near_alpha_and_naive_ones_do_not(
    stormy: Days, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ab_error_rates, "REPLAYS", 4000)
    found = simulate(stormy)
    assert (found["bound"] > found["false"]).all()
    for honest in ("fixed horizon", OURS, "confidence sequence"):
        assert found["bound"][honest] < 0.06
    assert found["false"]["sequential, weeks"] < 0.065, "eight weeks: t at one look tells little of t at the next"
    assert found["false"]["naive: daily peeking"] > 0.1
    assert found["false"]["naive: flights"] > 0.2
    assert found["days"][OURS] < found["days"]["fixed horizon"] == 28
    assert (found["power"] > found["false"]).all()


@pytest.mark.slow
def test_on_the_real_year_false_promotions_are_within_a_point_of_alpha(capsys: pytest.CaptureFixture[str]) -> None:
    main()
    told = capsys.readouterr().out
    assert "275 days" in told
    assert "245 days" in told
    assert told.count("of false promotions by sequential, days: held") == 2
    assert f"gain of {EFFECT:g} nats per flight" in told
    assert "calibration.png" in told
