"""The year on one page: a file that needs nothing else. `python -m level5_monitoring.dashboard.page` writes it."""

from collections import Counter
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from level5_monitoring import config
from level5_monitoring.dashboard.chart import Axis, Scale, line
from level5_monitoring.dashboard.data import LOOP, SHOWN, Year, gather, ratio
from level5_monitoring.dashboard.events import KINDS, Event
from level5_monitoring.monitors.monitor_result import MonitorResult
from shared.console import console, step
from shared.errors import command
from shared.settings import Settings

FILE = "year.html"
POLICIES = {LOOP: "by the loop", "weekly": "weekly, by the clock", "frozen": "never retrained"}
COLUMNS_SHOWN = 25
STEPS = (0.25, 0.5, 0.75, 1.0, 1.5, 3.0)  # of a limit: where one shade of the heat map ends and the next begins
MARK, FINE_MARK = 0.05, 0.002  # nats per flight: the least between two marks


def write(year: Year, folder: Path) -> Path:
    """Write the page as one file."""
    file = folder / FILE
    file.write_text(render(year), encoding="utf-8")
    return file


def render(year: Year, live: dict[str, Any] | None = None) -> str:
    """The page as HTML. live: the clock and the faults that can be injected, for the controls; None for a file."""
    return _templates().get_template("page.html").render(**draw(year), live=live)


def render_year(year: Year) -> str:
    """Only the part that changes as the year goes by."""
    return _templates().get_template("year.html").render(**draw(year))


def commands(settings: Settings) -> dict[str, str]:
    """How the other tools' pages are opened, for a file, beside which nothing serves them."""
    within = f"MLOPS_WORKSPACE={settings.workspace}"
    return {"MLflow and Prefect": f"{within} make ui", "Evidently": f"{within} make reports"}


def _templates() -> jinja2.Environment:
    loader = jinja2.FileSystemLoader(Path(__file__).with_name("templates"))
    made = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    made.filters |= {"day": _day, "shade": shade, "figure": _figure}
    return made


def draw(year: Year) -> dict[str, Any]:
    """What the templates need: the year, and where everything is on its axis."""
    axis = Axis.of(year.first, year.last)
    return {
        "year": year,
        "axis": axis,
        "policies": {name: POLICIES[name] for name in [LOOP, *SHOWN] if any(name in week.loss for week in year.weeks)},
        "overall": overall(year),
        "charts": _charts(year, axis),
        "heat": [_heat(column, days, axis) for column, days in list(year.drift.items())[:COLUMNS_SHOWN]],
        "events": list(zip(year.events, names(year.events), strict=True)),
        "lanes": _lanes(year.events, axis),
        "states": {name: _runs(days, axis) for name, days in year.states.items()},
        "kinds": {kind: (KINDS[kind], sum(one.kind == kind for one in year.events)) for kind in KINDS},
        "trainings": sum(one.kind == "training" for one in year.events),
    }


def overall(year: Year) -> dict[str, float]:
    """Mean log loss of each policy over all weeks, by flight."""
    rows = sum(week.rows for week in year.weeks)
    names = {name for week in year.weeks for name in week.loss}
    return {name: sum(week.rows * week.loss.get(name, 0.0) for week in year.weeks) / rows for name in names}


def shade(found: MonitorResult) -> str:
    """The class of a cell of the heat map: cold (below its limit) or hot, in steps; "none" where nothing was seen."""
    if found.state == "insufficient data":
        return "none"
    reached = ratio(found)
    step_of = next((i for i, end in enumerate(STEPS) if reached <= end), len(STEPS))
    return f"h{step_of}"


def _charts(year: Year, axis: Axis) -> list[dict[str, Any]]:
    """The loss by week, and by how much it differs from the weekly policy's: most of a loss is the weather's."""
    weeks = [week for week in year.weeks if week.loss]
    drawn = [name for name in ("frozen", LOOP, "weekly") if weeks and name in weeks[0].loss]  # the last one on top
    middle = [axis.at(week.monday, plus=3.5) for week in weeks]
    losses = {name: [week.loss[name] for week in weeks] for name in drawn}
    charts = [_chart("Log loss by week", "nats per flight", middle, losses, MARK)]
    if year.compared and weeks:
        less = {name: [week.loss[name] - week.loss["weekly"] for week in weeks] for name in drawn}
        charts.append(_chart("Difference to weekly", "below 0 is better", middle, less, FINE_MARK))
    return charts


def _chart(title: str, unit: str, at: list[float], rows: dict[str, list[float]], mark: float) -> dict[str, Any]:
    """A line for each row of values, which stand `at` (percent from the left)."""
    scale = Scale.of([value for row in rows.values() for value in row], mark)
    lines = {name: line([(x, scale.at(y)) for x, y in zip(at, row, strict=True)]) for name, row in rows.items()}
    ends = {name: (at[-1], scale.at(row[-1])) for name, row in rows.items()}
    return {"title": title, "unit": unit, "scale": scale, "lines": lines, "rows": rows, "ends": ends}


def _heat(column: str, days: dict[str, MonitorResult], axis: Axis) -> dict[str, Any]:
    """A row of the heat map: a cell for each week."""
    cells = [(axis.at(day, plus=-6), 7 * axis.day, found) for day, found in days.items()]
    return {"column": column, "cells": cells, "alarms": sum(found.state == "alarm" for found in days.values())}


def names(events: list[Event]) -> list[str]:
    """What each event is called on the page: the same when others have joined it, on other days or of other kinds."""
    seen: Counter[str] = Counter()
    found = []
    for event in events:
        name = f"{event.kind}-{event.day}"
        found.append(f"{name}-{seen[name]}")
        seen[name] += 1
    return found


def _lanes(events: list[Event], axis: Axis) -> dict[str, list[dict[str, Any]]]:
    """By kind: where each event is, and how wide; 0 for those of a moment."""
    lanes: dict[str, list[dict[str, Any]]] = {kind: [] for kind in KINDS}
    for event, name in zip(events, names(events), strict=True):
        left = axis.at(event.day, plus=0 if event.until else 0.5)
        width = round(axis.at(event.until, plus=1) - left, 3) if event.until else 0.0
        lanes[event.kind].append({"event": event, "name": name, "left": left, "width": width})
    return {kind: lane for kind, lane in lanes.items() if lane}


def _runs(days: dict[str, MonitorResult], axis: Axis) -> list[tuple[float, float, str, str, str]]:
    """Days in a row in one state: left, width, state, first and last day."""
    runs: list[list[str]] = []
    for day in sorted(days):
        follows = runs and pd.Timestamp(day) - pd.Timestamp(runs[-1][2]) == pd.Timedelta(days=1)
        if follows and runs[-1][0] == days[day].state:
            runs[-1][2] = day
        else:
            runs.append([days[day].state, day, day])
    return [
        (axis.at(first), round(axis.at(last, plus=1) - axis.at(first), 3), state, first, last)
        for state, first, last in runs
    ]


def _day(text: str) -> str:
    return f"{pd.Timestamp(text):%a} {pd.Timestamp(text).day} {pd.Timestamp(text):%b}" if text else ""


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def main() -> None:
    """Write the page of this level's state."""
    settings = config.configure()
    with step("Read the year"):
        year = gather(config.open_log(settings), config.own(settings), commands(settings))
    console.print(f"The year on one page: {write(year, config.own(settings)).as_uri()}", markup=False)


if __name__ == "__main__":
    command(main)
