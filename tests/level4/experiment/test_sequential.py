"""The statistics of repeated looks, against published values, other libraries, and simulation."""

import numpy as np
import pandas as pd
import pytest
import tea_tasting
from scipy import integrate, stats
from statsmodels.stats.weightstats import DescrStatsW

from level4_deployment.experiment import sequential


@pytest.mark.parametrize(
    ("looks", "published"),  # O'Brien-Fleming-type spending at one-sided 0.025: Jennison and Turnbull (2000), gsDesign
    [(2, (2.963, 1.969)), (4, (4.333, 2.963, 2.359, 2.014)), (5, (4.877, 3.357, 2.680, 2.290, 2.031))],
)
def test_boundaries_are_the_published_ones(looks: int, published: tuple[float, ...]) -> None:
    fractions = tuple((k + 1) / looks for k in range(looks))
    assert sequential.boundaries(0.025, fractions) == pytest.approx(published, abs=0.001)


@pytest.mark.parametrize("fractions", [(0.25, 0.5, 0.75, 1.0), (0.1, 0.7, 1.0), (0.5, 0.6)])
def test_boundaries_are_crossed_with_the_probability_that_was_spent(fractions: tuple[float, ...]) -> None:
    bounds = sequential.boundaries(0.05, fractions)
    t = np.array(fractions)
    correlation = np.sqrt(np.minimum.outer(t, t) / np.maximum.outer(t, t))
    never = stats.multivariate_normal(cov=correlation, abseps=1e-7, releps=1e-7, seed=0).cdf(bounds)
    assert 1 - never == pytest.approx(sequential.spent(0.05, fractions[-1]), abs=1e-4)


def test_z_has_the_tail_probability_of_every_librarys_t_test() -> None:
    days = np.random.default_rng(1).normal(0.3, 1, 20)
    path = sequential.running_statistics(days)
    assert np.isnan(path.z[0])
    for n in range(2, 21):
        ours = stats.norm.sf(path.z[n - 1])
        assert ours == pytest.approx(stats.ttest_1samp(days[:n], 0, alternative="greater").pvalue)
        assert ours == pytest.approx(DescrStatsW(days[:n]).ttest_mean(0, alternative="larger")[1])
    # tea-tasting compares two arms; beside an arm without any spread, Welch's test is the paired one.
    table = pd.DataFrame({"arm": ["a"] * 20 + ["b"] * 20, "loss": [*np.zeros(20), *days]})
    theirs = tea_tasting.Mean("loss", alternative="greater").analyze(table, "a", "b", "arm")
    assert stats.norm.sf(path.z[-1]) == pytest.approx(theirs.pvalue)
    assert path.mean[-1] == pytest.approx(theirs.effect_size)


def test_equal_models_differ_nowhere_and_a_constant_gain_has_a_finite_z() -> None:
    assert (sequential.running_statistics(np.zeros(10)).z[1:] == 0).all()
    assert (sequential.running_statistics(np.full(10, 0.25)).z[1:] > 5).all()
    assert np.isfinite(sequential.running_statistics(np.full(10, 0.25)).z[1:]).all()


@pytest.mark.parametrize("n", [7, 28, 500])
@pytest.mark.parametrize("rho", [0.1, 1.0])
def test_the_confidence_sequence_ends_where_the_mixture_of_likelihoods_reaches_one_over_alpha(
    n: int, rho: float
) -> None:
    def mixture(z: float, sides: int) -> float:
        def part(mu: float) -> float:
            return float(np.exp(mu * z * np.sqrt(n) - n * mu**2 / 2) * stats.norm.pdf(mu, scale=rho) * 2 / sides)

        return float(
            integrate.quad(part, -8 * rho if sides == 2 else 0, 8 * rho, points=[z / np.sqrt(n)], limit=200)[0]
        )

    assert mixture(float(sequential.two_sided_boundary(n, rho, 0.05)), 2) == pytest.approx(20, rel=1e-3)
    one = mixture(float(sequential.one_sided_boundary(n, rho, 0.05)), 1)
    assert 19.9 < one < 25  # the one-sided boundary has a closed form because it gives a little away


def test_rho_makes_the_boundary_tightest_where_it_was_asked_for() -> None:
    for n in (14, 200):
        rhos = sequential.best_rho(0.05, n) * np.array([0.5, 1, 2])
        widths = [float(sequential.two_sided_boundary(n, rho, 0.05)) for rho in rhos]
        assert min(widths) == widths[1]


def test_a_confidence_sequence_is_left_at_any_time_with_at_most_alpha() -> None:
    z = np.cumsum(np.random.default_rng(4).standard_normal((5000, 300)), axis=1) / np.sqrt(np.arange(1, 301))
    n = np.arange(7, 301)
    two = (np.abs(z[:, 6:]) >= sequential.two_sided_boundary(n, sequential.best_rho(0.05, 14), 0.05)).any(axis=1).mean()
    one = (z[:, 6:] >= sequential.one_sided_boundary(n, sequential.best_rho(0.1, 14), 0.05)).any(axis=1).mean()
    assert 0.01 < two < 0.05
    assert 0.01 < one < 0.05


def trips(events: int, trials: int, tolerated: float, severe: float, alpha: float) -> bool:
    """The guardrail, where a trial is one event or none."""
    return sequential.guardrail(np.ones(events), trials, tolerated, severe, alpha)


def first_to_trip(trials: int, tolerated: float, severe: float, alpha: float) -> list[int]:
    """For 1, 2, … trials, the fewest events that trip the guardrail; one more than the trials where none would."""
    fewest, events = [], 0
    for n in range(1, trials + 1):
        while events <= n and not trips(min(events, n), n, tolerated, severe, alpha):
            events += 1
        fewest.append(events)
    return fewest


def test_a_guardrail_looked_at_after_every_trial_trips_a_tolerated_challenger_with_at_most_alpha() -> None:
    fewest = np.array(first_to_trip(1000, 0.05, 0.3, 0.05))
    events = np.cumsum(np.random.default_rng(5).random((4000, 1000)) < 0.05, axis=1)
    tripped = (events >= fewest).any(axis=1).mean()
    assert 0.005 < tripped < 0.05


@pytest.mark.parametrize(("share", "within"), [(0.1, 300), (0.03, 3000), (1.0, 5)])
def test_a_guardrail_finds_disasters_and_lesser_trouble_too(share: float, within: int) -> None:
    events = np.cumsum(np.random.default_rng(6).random((20, within)) < share, axis=1)
    found = [any(trips(int(k), n + 1, 0.01, 0.5, 0.001) for n, k in enumerate(run)) for run in events]
    assert np.mean(found) >= 0.9


def test_a_guardrail_needs_evidence() -> None:
    assert not trips(0, 0, 0.01, 0.1, 0.001)
    assert not trips(1, 1, 0.01, 0.1, 0.001)
    assert not trips(1_000, 100_000, 0.01, 0.1, 0.001)
    assert trips(1_300, 100_000, 0.01, 0.1, 0.001)


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_a_sample_ratio_that_is_looked_at_every_day_errs_at_most_as_often_as_planned(share: float) -> None:
    challenger = np.cumsum(np.random.default_rng(13).binomial(900, share, (20_000, 56)), axis=1)
    p = sequential.sample_ratio(900 * np.arange(1, 57) - challenger, challenger, share)
    assert 0.005 < (p <= 0.05).any(axis=1).mean() < 0.05
    assert (p <= 0.001).any(axis=1).mean() < 0.001


def test_the_sample_ratio_is_the_bayes_factor_of_a_beta_mixture() -> None:
    weight = 1 / (0.3 * 0.7 * 0.01)

    def likelihood(share: float) -> float:
        return float(stats.beta.pdf(share, 0.3 * weight, 0.7 * weight) * stats.binom.pmf(380, 1000, share))

    mixture = integrate.quad(likelihood, 0.2, 0.5)[0]
    found = sequential.sample_ratio(620, 380, 0.3)
    assert found == pytest.approx(stats.binom.pmf(380, 1000, 0.3) / mixture, rel=1e-6)
    assert found < 1e-3


def test_a_few_flights_prove_nothing() -> None:
    assert sequential.sample_ratio(0, 0, 0.1) == 1
    assert sequential.sample_ratio(0, 8, 0.5) > 0.1


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5])
def test_a_twentieth_of_one_arms_rows_that_a_log_loses_is_found_out_as_often_as_is_said(share: float) -> None:
    flights = sequential.flights_to_detect_loss(0.05, share, 0.001)
    random = np.random.default_rng(3)
    challenger = random.binomial(flights, share, 2_000)
    kept = random.binomial(challenger, 0.95)
    seen = sequential.sample_ratio(flights - challenger, kept, share) < 0.001
    assert np.mean(seen) == pytest.approx(0.95, abs=0.02)


def test_at_a_tenth_of_the_flights_four_weeks_show_that_an_eighth_of_the_arm_is_lost_but_not_a_twentieth() -> None:
    needed = [sequential.flights_to_detect_loss(lost, 0.1, 0.001) for lost in (0.125, 0.05)]
    assert needed[0] < 28 * 900 < needed[1]
