"""The charts of the losses by week, and the axes on which the page places everything, in percent of its size."""

from itertools import count, groupby
from math import ceil, floor, isnan
from typing import Any

import pandas as pd

from level5_monitoring.dashboard.data import Week
from level5_monitoring.policy_backtest.calendars import LOOP

TICK, FINE_TICK = 0.05, 0.002  # nats per flight: the smallest distance between two ticks
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

    drawn: the policies, the first one on top. Lines are of the days that are not excluded. Of a week with others, the
    loop's loss on all days is a mark apart.
    """
    middle = [axis.at(week.monday, plus=3.5) for week in weeks]
    losses = pd.DataFrame([week.sound_loss for week in weeks], middle, drawn[::-1], dtype=float)
    suspect = pd.DataFrame(
        [week.loss if week.excluded else {} for week in weeks], middle, [LOOP, "weekly"], dtype=float
    )
    charts = [_chart("Log loss by week", "nats per flight", losses, suspect[LOOP], TICK)]
    if "weekly" in losses:
        losses, suspect = (one.sub(one["weekly"], axis="index") for one in (losses, suspect))
        unit = "nats per flight; below 0: better than weekly"
        charts.insert(0, _chart("Log loss minus weekly's", unit, losses, suspect[LOOP], FINE_TICK))
    return charts


def _chart(title: str, unit: str, rows: pd.DataFrame, suspect: pd.Series, tick: float) -> dict[str, Any]:
    """A line for each column; the index is the place of a week (percent from the left). A missing value is a gap.

    suspect: marks apart; one beyond the scale, which they do not change, stands at its edge.
    """
    known = {str(name): row.dropna() for name, row in rows.items()}
    scale = Scale([value for row in known.values() for value in row], tick)
    lines = {}
    for name, row in rows.items():
        points = ["" if isnan(y) else f"{x:g} {scale.at(y):g}" for x, y in row.items()]
        parts = (" L".join(part) for there, part in groupby(points, key=bool) if there)
        # an SVG path; a week between two gaps is a line to itself, which is drawn as a dot
        lines[name] = " ".join(f"M{part}" if "L" in part else f"M{part} L{part}" for part in parts)
    ends = _spread({name: scale.at(row.iloc[-1]) for name, row in known.items() if len(row)})
    return {
        "title": title,
        "unit": unit,
        "scale": scale,
        "lines": lines,
        "ranges": {name: (row.min(), row.max()) for name, row in known.items() if len(row)},
        "marks": [(x, min(max(scale.at(y), 0), 100), y) for x, y in suspect.dropna().items()],
        "ends": {name: (rows.index[-1], y) for name, y in ends.items()},
    }


def _spread(places: dict[str, float]) -> dict[str, float]:
    """The labels at the ends of the lines, in percent from the top: moved apart, so that none covers another."""
    spread, least = {}, -LABEL
    for name in sorted(places, key=places.__getitem__):
        spread[name] = least = max(places[name], least + LABEL)
    too_low = max(least - 100, 0)
    return {name: round(place - too_low, 1) for name, place in spread.items()}
