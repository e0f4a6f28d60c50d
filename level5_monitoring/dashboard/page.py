"""The year on one page, drawn from `data.Year` by the templates: as one file, or served by the live demo.

Everything on the time line is placed in percent of its width and height, so that the page fits any screen.
"""

from collections import Counter
from functools import cache
from itertools import count, groupby
from math import ceil, floor
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from level5_monitoring import config
from level5_monitoring.dashboard.data import DRAWN, Week, Year, ratio, read_year
from level5_monitoring.dashboard.events import KINDS, Event
from level5_monitoring.monitors.monitor_result import MonitorResult, in_words
from level5_monitoring.policy_comparison import LOOP, POLICIES
from shared.settings import Settings

FILE = "year.html"
STEPS = (0.25, 0.5, 0.75, 1.0, 1.5, 3.0)  # parts of a threshold: where each shade of the heat map ends
TICK, FINE_TICK = 0.05, 0.002  # nats per flight: the smallest distance between two ticks


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


def write_page(settings: Settings) -> Path:
    """Read this level's year and write its page; returns the file."""
    workspace = f"MLOPS_WORKSPACE={settings.workspace}"  # a file has no server beside it: it names commands
    links = {"MLflow and Prefect": f"{workspace} make ui", "Evidently": f"{workspace} make reports"}
    with config.open_log(settings) as log:
        return write(read_year(log, config.own(settings), links), config.own(settings))


def write(year: Year, folder: Path) -> Path:
    """Write the page as one file."""
    file = folder / FILE
    file.write_text(render(year), encoding="utf-8")
    return file


def render(year: Year, live: dict[str, Any] | None = None) -> str:
    """The page as HTML; live: the speeds and faults that the controls offer, or None for a page without controls."""
    return _templates().get_template("page.html").render(**draw(year), live=live)


def render_year(year: Year) -> str:
    """The part of the page that changes during the year."""
    return _templates().get_template("year.html").render(**draw(year))


@cache
def _templates() -> jinja2.Environment:
    loader = jinja2.FileSystemLoader(Path(__file__).with_name("templates"))
    made = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    made.filters |= {"day": _day, "shade": shade, "figure": _figure, "words": in_words}
    return made


def draw(year: Year) -> dict[str, Any]:
    """What the templates need: the year, and the place of everything on its axis."""
    axis = Axis(year.first, year.last)
    weeks = [week for week in year.weeks if week.loss]
    drawn = [name for name in [LOOP, *DRAWN] if weeks and name in weeks[0].loss]
    return {
        "year": year,
        "axis": axis,
        "policies": {name: POLICIES[name] for name in drawn},
        "overall": overall(year),
        "charts": _charts(weeks, drawn, axis),
        "events": list(zip(year.events, event_names(year.events), strict=True)),
        "states": {name: _runs(days) for name, days in year.states.items()},
        "counts": Counter(event.kind for event in year.events),
        "kinds": KINDS,
    }


def overall(year: Year) -> dict[str, float]:
    """Mean log loss of each policy over all weeks, per flight."""
    rows = sum(week.rows for week in year.weeks)
    names = {name for week in year.weeks for name in week.loss}
    return {name: sum(week.rows * week.loss.get(name, 0.0) for week in year.weeks) / rows for name in names}


def shade(result: MonitorResult) -> str:
    """The CSS class of a heat map cell: h0 to h3 below the threshold, h4 to h6 above it; "none" without data."""
    if result.state == "insufficient data":
        return "none"
    return f"h{sum(ratio(result) > end for end in STEPS)}"


def _charts(weeks: list[Week], drawn: list[str], axis: Axis) -> list[dict[str, Any]]:
    """The loss by week, and its difference to the weekly policy's: the weather explains most of a week's loss."""
    order = [name for name in ("frozen", LOOP, "weekly") if name in drawn]  # the last one is drawn on top
    middle = [axis.at(week.monday, plus=3.5) for week in weeks]
    losses = {name: [week.loss[name] for week in weeks] for name in order}
    charts = [_chart("Log loss by week", "nats per flight", middle, losses, TICK)]
    if "weekly" in losses:
        gaps = {
            name: [one - other for one, other in zip(loss, losses["weekly"], strict=True)]
            for name, loss in losses.items()
        }
        charts.append(_chart("Difference to weekly", "below 0 is better", middle, gaps, FINE_TICK))
    return charts


def _chart(title: str, unit: str, at: list[float], rows: dict[str, list[float]], tick: float) -> dict[str, Any]:
    """A line for each row of values, which stand `at` (percent from the left); a dot ends the loop's."""
    scale = Scale([value for row in rows.values() for value in row], tick)
    lines = {
        name: "M" + "L".join(f"{x:g} {scale.at(y):g}" for x, y in zip(at, row, strict=True))
        for name, row in rows.items()
    }  # SVG paths
    end = (at[-1], scale.at(rows[LOOP][-1])) if at else None
    return {"title": title, "unit": unit, "scale": scale, "lines": lines, "rows": rows, "end": end}


def event_names(events: list[Event]) -> list[str]:
    """The name of each event's HTML element: later events of other days or kinds do not change it."""
    earlier: Counter[str] = Counter()
    names = []
    for event in events:
        name = f"{event.kind}-{event.day}"
        names.append(f"{name}-{earlier[name]}")
        earlier[name] += 1
    return names


def _runs(days: dict[str, MonitorResult]) -> list[tuple[str, str, str]]:
    """Consecutive days in one state: the state, the first and the last day."""
    order = sorted(days)
    starts = [pd.Timestamp(day) - pd.Timedelta(days=i) for i, day in enumerate(order)]  # equal for consecutive days
    runs: list[tuple[str, str, str]] = []
    for (state, _), run in groupby(zip(order, starts, strict=True), key=lambda one: (days[one[0]].state, one[1])):
        group = [day for day, _ in run]
        runs.append((state, group[0], group[-1]))
    return runs


def _day(text: str) -> str:
    return f"{pd.Timestamp(text):%a} {pd.Timestamp(text).day} {pd.Timestamp(text):%b}" if text else ""


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
