"""Days of the real year on which two models were compared, and two ways to draw experiments from them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from level4_deployment.experiment.sequential import Floats

BLOCK = 7  # days: longer than the spells of weather that make days alike


@dataclass(frozen=True)
class Days:
    """By day: flights, and sums over them of the loss difference and of its square; (days,) or (replays, days)."""

    total: Floats
    squares: Floats
    flights: Floats

    @property
    def mean(self) -> Floats:
        """The day means, which the paired test compares."""
        return self.total / self.flights

    def at(self, where: Any) -> "Days":
        """A part of the days, by a NumPy index."""
        return Days(self.total[where], self.squares[where], self.flights[where])

    def replayed(self, signs: Floats | float, effect: float) -> "Days":
        """Every flight's difference times its day's sign, plus the effect."""
        total = self.total * signs
        squares = self.squares + 2 * effect * total + effect**2 * self.flights
        return Days(total + effect * self.flights, squares, self.flights)

    def centred(self) -> "Days":
        """The same days without their mean gain: neither model is better, and nothing else has changed."""
        return self.replayed(1.0, -float(self.mean.mean()))


def real_days(flight_ids: pd.Series, gain: Floats) -> Days:
    """The days of these flights, from each flight's loss difference in nats; above 0 the challenger is better."""
    table = pd.DataFrame({"total": gain, "squares": gain**2, "flights": 1.0})
    sums = table.groupby(flight_ids.str[:10].to_numpy()).sum()
    return Days(*(sums[name].to_numpy() for name in ("total", "squares", "flights")))


def symmetric_days(real: Days, size: tuple[int, int], rng: np.random.Generator) -> Days:
    """(replays, days) of consecutive days, each with a sign drawn by a coin: independent, and symmetric."""
    where = (rng.integers(0, len(real.total), (size[0], 1)) + np.arange(size[1])) % len(real.total)
    return real.at(where).replayed(rng.choice([-1.0, 1.0], size), 0.0)


def real_blocks(real: Days, size: tuple[int, int], rng: np.random.Generator) -> Days:
    """(replays, days) of whole weeks, as they were: days stay skewed, and alike those next to them.

    The circular block bootstrap (Politis and Romano 1992): after the last day comes the first.
    """
    starts = rng.integers(0, len(real.total), (size[0], -(-size[1] // BLOCK), 1))
    where = (starts + np.arange(BLOCK)).reshape(size[0], -1)[:, : size[1]] % len(real.total)
    return real.at(where)
