"""Places on the page's one time axis: everything is drawn in percent of it, so that any width of screen will do."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count
from math import ceil, floor

import pandas as pd


@dataclass(frozen=True)
class Axis:
    """The days from `first` to `last`, both included."""

    first: pd.Timestamp
    days: int

    @classmethod
    def of(cls, first: str, last: str) -> "Axis":
        """The axis of these days (YYYY-MM-DD)."""
        return cls(pd.Timestamp(first), (pd.Timestamp(last) - pd.Timestamp(first)).days + 1)

    def at(self, day: str, *, plus: float = 0.0) -> float:
        """Where a day begins, in percent from the left; plus: days more."""
        return round(100 * min(max(((pd.Timestamp(day) - self.first).days + plus) / self.days, 0), 1), 3)

    @property
    def day(self) -> float:
        """How wide a day is, in percent."""
        return 100 / self.days

    def months(self) -> list[tuple[float, str]]:
        """Where each month begins, and its name."""
        starts = pd.date_range(self.first, periods=self.days, freq="D")
        return [(self.at(str(day.date())), f"{day:%B}") for day in starts if day.day == 1 or day == self.first]


@dataclass(frozen=True)
class Scale:
    """Values from `low` (at 100, the bottom) to `high` (at 0, the top), with round numbers to mark."""

    low: float
    high: float
    marks: list[float]

    @classmethod
    def of(cls, values: Iterable[float], step: float) -> "Scale":
        """A scale that holds all values, in the smallest of 1, 2, 5, 10, 20, 50 … times `step` that makes few marks."""
        seen = list(values) or [0.0, step]
        factors = (digit * 10**power for power in count() for digit in (1, 2, 5))
        step *= next(factor for factor in factors if (max(seen) - min(seen)) / (step * factor) <= 4)
        low, high = floor(min(seen) / step), ceil(max(seen) / step)
        high += high == low
        return cls(low * step, high * step, [round(i * step, 6) for i in range(low, high + 1)])

    def at(self, value: float) -> float:
        """Where a value is, in percent from the top."""
        return round(100 * (self.high - value) / (self.high - self.low), 3)


def line(points: Iterable[tuple[float, float]]) -> str:
    """An SVG path through the points."""
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in points)
