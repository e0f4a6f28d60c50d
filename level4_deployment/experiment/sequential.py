"""Statistics that stay valid when an experiment is looked at again and again: arithmetic only, no I/O.

A unit is one observation: the mean paired difference of a day's flights. Flights of one day share weather and
air-traffic control, so a single flight is no unit. Days are not quite independent either: see `inflation`.

Pairing is valid because a flight's label does not depend on the prediction: both models can score every flight. Where
predictions change outcomes (an offer, a price), only a live split can compare.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, stats

Floats = NDArray[np.float64]
NODES = 201  # of the quadrature: 601 change no boundary by 1e-9


class Running(NamedTuple):
    """Mean, standard error and z after 1, 2, … units, in their shape; after one unit, error and z are nan."""

    mean: Floats
    error: Floats
    z: Floats


def running_statistics(units: ArrayLike, inflation: float = 1.0) -> Running:
    """Mean, standard error and z of (..., n) units after each of them.

    inflation: factor of the standard error that independent units would have, for units that are not independent.
    The variance is estimated from few units, so z is the z of Student's t's tail probability. Each look alone is exact;
    several together spend a little more than planned: 5.7% instead of 5% with 8 looks at 8 units, 5.2% with 28 units.
    """
    values = np.asarray(units, dtype=float)
    n = np.arange(1, values.shape[-1] + 1)
    mean = np.cumsum(values, axis=-1) / n
    with np.errstate(divide="ignore", invalid="ignore"):  # one unit has no spread; equal models differ nowhere
        variance = np.maximum(np.cumsum(values**2, axis=-1) - n * mean**2, 0) / (n - 1)
        error = inflation * np.sqrt(variance / n)
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


def guardrail(shares: ArrayLike, trials: int, tolerated: float, severe: float, alpha: float) -> bool:
    """Whether the shares of events in `trials` prove a mean above `tolerated`; valid however often it is tested.

    shares: above 0 and at most 1, of the trials with events; the others had none. The mean of eight bets against
    `tolerated`, each the likelihood ratio of a share up to `severe` (testing by betting: Waudby-Smith and Ramdas,
    J. R. Stat. Soc. B 2024): while each trial's mean, given those before it, is tolerated, it ever reaches 1 / alpha
    with probability at most alpha (Ville 1939). Only the record matters, so a restart loses nothing.
    """
    found = np.asarray(shares, dtype=float).reshape(-1, 1)
    bets = (np.geomspace(tolerated, severe, 9)[1:] - tolerated) / (tolerated * (1 - tolerated))
    none = (trials - len(found)) * np.log1p(-bets * tolerated)
    gained = np.log1p(bets * (found - tolerated)).sum(axis=0) + none
    return bool(np.logaddexp.reduce(gained) - np.log(len(bets)) >= -np.log(alpha))


def sample_ratio(champion: ArrayLike, challenger: ArrayLike, share: float) -> Floats:
    """The p-value of the arms' flights, where `share` was planned for the challenger; valid at every look.

    1 / the Bayes factor of a beta distribution of shares against the planned one (Lindon and Malek, NeurIPS 2022):
    while the split is as planned, it is ever at most alpha with probability at most alpha.
    """
    count, weight = np.asarray(challenger), _beta_weight(share)
    flights = np.asarray(champion) + count
    mixture = stats.betabinom.logpmf(count, flights, weight * share, weight * (1 - share))
    return np.exp(np.minimum(stats.binom.logpmf(count, flights, share) - mixture, 0.0))


def _beta_weight(share: float) -> float:
    """Flights that the beta distribution counts for: its SD is then the effect of losing a tenth of one arm's rows."""
    return 1 / (share * (1 - share) * 0.1**2)


def flights_to_detect_loss(lost: float, share: float, alpha: float) -> int:
    """The flights from which on the sample-ratio test has found this loss of the challenger's rows with 95% power."""
    apart = share * (1 - share) * lost**2 / (1 - share * lost)  # z**2 per flight, on average
    weight = _beta_weight(share)

    def missing(flights: float) -> float:
        prior = np.log1p(flights / weight)  # the price of many looks
        return float(np.sqrt((1 + weight / flights) * (prior - 2 * np.log(alpha))) + stats.norm.isf(0.05)) - float(
            np.sqrt(flights * apart)
        )

    return int(np.ceil(optimize.brentq(missing, 1, 1e12)))
