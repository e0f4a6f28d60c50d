"""Statistics that stay valid when an experiment is looked at again and again: arithmetic only, no I/O.

A unit is one independent observation: the mean paired difference of a day's flights, or of a week's. Flights of one
day share weather and air-traffic control, so a single flight is no unit.

Pairing is valid because a flight's label does not depend on the prediction: both models can score every flight. Where
predictions change outcomes (an offer, a price), only a live split can compare.
"""

from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, stats

from shared.errors import UserError

Floats = NDArray[np.float64]
NODES = 201  # of the quadrature: 601 change no boundary by 1e-9


class Running(NamedTuple):
    """Mean, standard error and z after 1, 2, … units, in their shape; after one unit, error and z are nan."""

    mean: Floats
    error: Floats
    z: Floats


def running_statistics(units: ArrayLike) -> Running:
    """Mean, standard error and z of (..., n) units after each of them.

    The variance is estimated from few units, so z is the z of Student's t's tail probability. Each look alone is exact;
    several together spend a little more than planned: 5.7% instead of 5% with 8 weeks, 5.2% with 28 days.
    """
    values = np.asarray(units, dtype=float)
    n = np.arange(1, values.shape[-1] + 1)
    mean = np.cumsum(values, axis=-1) / n
    with np.errstate(divide="ignore", invalid="ignore"):  # one unit has no spread; equal models differ nowhere
        variance = np.maximum(np.cumsum(values**2, axis=-1) - n * mean**2, 0) / (n - 1)
        error = np.sqrt(variance / n)
        t = np.where(mean == 0, 0.0, mean / error)
    tail = np.maximum(stats.t.sf(np.abs(t), np.maximum(n - 1, 1)), 1e-300)  # z stays finite
    z = np.sign(t) * stats.norm.isf(tail)
    return Running(mean, error, np.where(n > 1, z, np.nan))


def t_of_z(z: ArrayLike, units: ArrayLike) -> Floats:
    """The Student's t of `units` with the tail probability of z: the distance of a boundary in standard errors."""
    return stats.t.isf(stats.norm.sf(z), np.asarray(units) - 1)


def spent(alpha: float, fraction: float) -> float:
    """The part of alpha that may be spent at this fraction of the information, one-sided.

    O'Brien-Fleming type (Lan and DeMets, Biometrika 1983): almost nothing early, all of alpha at the end.
    """
    return float(2 * stats.norm.sf(stats.norm.isf(alpha / 2) / np.sqrt(min(fraction, 1.0))))


@cache
def boundaries(alpha: float, fractions: tuple[float, ...]) -> tuple[float, ...]:
    """The z to reach at each look, one-sided; fractions of the information at the looks rise to 1.

    Recursion of Armitage, McPherson and Rowe (J. R. Stat. Soc. A 1969): `density` is the density of the sum at the
    last look, over experiments that have not crossed a boundary yet.
    """
    if not 0 < alpha < 0.5 or not fractions or not np.all(np.diff([0.0, *fractions]) > 0) or fractions[-1] > 1:
        raise UserError(f"alpha={alpha}, looks at {fractions}: alpha lies between 0 and 0.5, looks rise from 0 to 1.")
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    sums, density, before = np.zeros(1), np.ones(1), 0.0  # all experiments start at a sum of 0
    found: list[float] = []
    for fraction in fractions:
        step = np.sqrt(fraction - before)
        spend = spent(alpha, fraction) - (spent(alpha, before) if before else 0.0)

        def too_much(bound: float, step: float = step, spend: float = spend) -> float:
            return float(density @ stats.norm.sf((bound - sums) / step)) / spend - 1  # noqa: B023 - called at once

        bound = float(optimize.brentq(too_much, -9 * np.sqrt(fraction), 30 * np.sqrt(fraction), xtol=1e-10))
        low = -9 * np.sqrt(fraction)
        grid = low + (bound - low) * (nodes + 1) / 2
        density = density @ stats.norm.pdf((grid - sums[:, None]) / step) / step * weights * (bound - low) / 2
        sums, before = grid, fraction
        found.append(float(bound / np.sqrt(fraction)))
    return tuple(found)


def best_rho(alpha: float, units: float) -> float:
    """The rho that makes a confidence sequence about tightest after so many units (Waudby-Smith et al. 2021)."""
    return float(np.sqrt((-2 * np.log(alpha) + np.log(-2 * np.log(alpha)) + 1) / units))


def two_sided_boundary(n: ArrayLike, rho: float, alpha: float) -> Floats:
    """The |z| that is ever exceeded, at any n, with probability alpha: the normal mixture's boundary.

    Robbins, Ann. Math. Stat. 1970; Howard et al., Ann. Stat. 2021. Asymptotic: Waudby-Smith et al., Ann. Stat. 2024.
    """
    information = np.asarray(n, dtype=float) * rho**2
    return np.sqrt((information + 1) / information * np.log((information + 1) / alpha**2))


def one_sided_boundary(n: ArrayLike, rho: float, alpha: float) -> Floats:
    """The z that is ever exceeded, on one side, with probability at most alpha (Waudby-Smith et al. 2024)."""
    information = np.asarray(n, dtype=float) * rho**2
    return np.sqrt(2 * (information + 1) / information * np.log1p(np.sqrt(information + 1) / (2 * alpha)))


def guardrail(events: float, trials: int, tolerated: float, severe: float, alpha: float) -> bool:
    """Whether `events` of `trials` prove a share above `tolerated`; valid however often it is tested.

    The mean of the likelihood ratios of eight shares up to `severe` against `tolerated`: while each trial's
    probability, given those before it, is tolerated, it ever reaches 1 / alpha with probability at most alpha (Ville
    1939). Only the counts matter, so a restart loses nothing. A trial may count in part, between 0 and 1: the ratio is
    convex in the events, so its mean is no larger and the bound holds.
    """
    if not (0 <= events <= trials and 0 < tolerated < severe < 1):
        raise UserError(f"{events} events of {trials} trials, tolerated {tolerated}, severe {severe}: out of order.")
    shares = np.geomspace(tolerated, severe, 9)[1:]
    ratios = events * np.log(shares / tolerated) + (trials - events) * np.log((1 - shares) / (1 - tolerated))
    return bool(np.logaddexp.reduce(ratios) - np.log(len(shares)) >= -np.log(alpha))


def sample_ratio(arms: Mapping[str, int], share: float) -> float:
    """The p-value of the challenger's count, where `share` was planned (chi-square test); 1 while there are too few."""
    counts = np.array([arms["champion"], arms["challenger"]], dtype=float)
    expected = counts.sum() * np.array([1 - share, share])
    return float(stats.chisquare(counts, expected).pvalue) if expected.min() >= 5 else 1.0


def flights_to_detect_loss(lost: float, share: float, alpha: float) -> int:
    """The flights that the sample-ratio test needs to detect this loss of the challenger's rows with 95% power."""
    apart = share * (1 - share) * lost**2 / (1 - share * lost)  # what each flight adds to chi-square's noncentrality
    return int(np.ceil((stats.norm.isf(alpha / 2) + stats.norm.isf(1 - 0.95)) ** 2 / apart))


def lag_one_correlation(days: ArrayLike) -> tuple[float, float]:
    """The correlation of each day with the next, and its p-value (one-sided: above 0)."""
    values = np.asarray(days, dtype=float)
    if len(values) < 4 or np.ptp(values) == 0:
        return 0.0, 1.0
    test = stats.pearsonr(values[:-1], values[1:], alternative="greater")
    return float(test.statistic), float(test.pvalue)


def weekly_means(days: ArrayLike) -> Floats:
    """The means of whole blocks of seven days, along the last axis; days after the last whole block are left out."""
    values = np.asarray(days, dtype=float)
    whole = values.shape[-1] // 7
    return values[..., : whole * 7].reshape(*values.shape[:-1], whole, 7).mean(axis=-1)
