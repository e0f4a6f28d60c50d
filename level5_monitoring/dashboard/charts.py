"""The charts of the losses by week, and the axes on which the page places everything, in percent of its size."""

from itertools import count, groupby
from math import ceil, floor
from typing import Any

import pandas as pd

from level5_monitoring.dashboard.data import Week
from level5_monitoring.policy_backtest.calendars import LOOP

TICK, FINE_TICK = 0.05, 0.002  # nats per flight: the smallest distance between two ticks
Losses = list[float | None]  # by week
LABEL = 13.0  # percent of a chart's height that a label needs


class Axis:
    """The days from `first` to `last` (YYYY-MM-DD), both included."""

    def __init__(self, first: str, last: str) -> None:
        self.first = pd.Timestamp(first)
        self.days = (pd.Timestamp(last) - self.first).days + 1

    def at(self, day: str, *, plus: float = 0.0) -> float:
        """Where a day begins, `plus` days later, in percent from the left."""
        return round(100 * min(max(((pd.Timestamp(day) - self.first).days + plus) / self.days, 0), 1), 3)

    def span(self, first: str, last: str) -> str:
        """CSS: from the begin of the day `first` to the end of `last`."""
        left = self.at(first)
        return f"left:{left}%;width:{self.at(last, plus=1) - left:.3f}%"

    def months(self) -> list[tuple[float, str]]:
        """Where each month begins, and its name."""
        starts = pd.date_range(self.first, periods=self.days, freq="D")
        return [(self.at(str(day.date())), f"{day:%B}") for day in starts if day.day == 1 or day == self.first]


class Scale:
    """From `low` (the bottom) to `high` (the top): it holds all values.

    Its ticks are 1, 2, 5, 10, 20, 50 … times `step` apart, and at most about five.
    """

    def __init__(self, values: list[float], step: float) -> None:
        known = values or [0.0, step]
        factors = (digit * 10**power for power in count() for digit in (1, 2, 5))
        step *= next(factor for factor in factors if (max(known) - min(known)) / (step * factor) <= 4)
        low, high = floor(min(known) / step), ceil(max(known) / step)
        high += high == low
        self.low, self.high = low * step, high * step
        self.ticks = [round(i * step, 6) for i in range(low, high + 1)]

    def at(self, value: float) -> float:
        """Where a value is, in percent from the top."""
        return round(100 * (self.high - value) / (self.high - self.low), 3)


def charts(weeks: list[Week], drawn: list[str], axis: Axis) -> list[dict[str, Any]]:
    """The difference to the weekly policy's loss by week, then the loss: the weather explains most of it.

    Lines are of the days that are not excluded. Of a week with others, the loop's loss on all days is a mark apart.
    """
    order = [name for name in ("frozen", "weekly", LOOP) if name in drawn]  # the last one is drawn on top
    middle = [axis.at(week.monday, plus=3.5) for week in weeks]
    losses = {name: [week.sound_loss.get(name) for week in weeks] for name in order}
    suspect = [week.loss[LOOP] if week.excluded else None for week in weeks]
    charts = [_chart(("Log loss by week", "nats per flight"), middle, losses, suspect, TICK)]
    if "weekly" in losses:
        weekly = losses["weekly"]
        gaps = {name: [_minus(*both) for both in zip(loss, weekly, strict=True)] for name, loss in losses.items()}
        suspect = [week.loss[LOOP] - week.loss["weekly"] if week.excluded else None for week in weeks]
        about = "Log loss minus weekly's", "nats per flight; below 0: better than weekly"
        charts.insert(0, _chart(about, middle, gaps, suspect, FINE_TICK))
    return charts


def _minus(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other


def _chart(
    about: tuple[str, str], at: list[float], rows: dict[str, Losses], suspect: Losses, tick: float
) -> dict[str, Any]:
    """A line for each row of values, which stand `at` (percent from the left), with gaps where a value is None.

    about: title and unit. suspect: marks apart; one beyond the scale, which they do not change, stands at its edge.
    """
    known = {name: [value for value in row if value is not None] for name, row in rows.items()}
    scale = Scale([value for row in known.values() for value in row], tick)
    lines = {}
    for name, row in rows.items():
        points = ["" if y is None else f"{x:g} {scale.at(y):g}" for x, y in zip(at, row, strict=True)]
        parts = (" L".join(part) for there, part in groupby(points, key=bool) if there)
        # an SVG path; a week between two gaps is a line to itself, which is drawn as a dot
        lines[name] = " ".join(f"M{part}" if "L" in part else f"M{part} L{part}" for part in parts)
    marks = [(x, min(max(scale.at(y), 0), 100), y) for x, y in zip(at, suspect, strict=True) if y is not None]
    ends = _spread({name: scale.at(row[-1]) for name, row in known.items() if row})
    return {
        "title": about[0],
        "unit": about[1],
        "scale": scale,
        "lines": lines,
        "ranges": {name: (min(row), max(row)) for name, row in known.items() if row},
        "marks": marks,
        "ends": {name: (at[-1], y) for name, y in ends.items()},
    }


def _spread(places: dict[str, float]) -> dict[str, float]:
    """The labels at the ends of the lines, in percent from the top: moved apart, so that none covers another."""
    spread, least = {}, -LABEL
    for name in sorted(places, key=places.__getitem__):
        spread[name] = least = max(places[name], least + LABEL)
    too_low = max(least - 100, 0)
    return {name: round(place - too_low, 1) for name, place in spread.items()}
