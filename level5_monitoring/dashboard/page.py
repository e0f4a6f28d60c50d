"""The year on one page, drawn from `data.Year` by the templates: as one file, or served by the live demo.

Everything on the time line is placed in percent of its width and height, so that the page fits any screen.
"""

import re
from collections import Counter
from collections.abc import Callable, Container, Iterable
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
import pandas as pd
from pandas.tseries.offsets import Week

from level3_training_pipeline.tracking.registry import MODEL
from level5_monitoring import config
from level5_monitoring.dashboard.charts import Axis, charts
from level5_monitoring.dashboard.data import Year, read_year, severity
from level5_monitoring.dashboard.events import KINDS, Event
from level5_monitoring.dashboard.evidently_reports import page_of_week
from level5_monitoring.dashboard.shares import add_shares
from level5_monitoring.loop.alerts import PAGE_FOR
from level5_monitoring.loop.policy import FAILED
from level5_monitoring.monitors.monitor_result import MonitorResult, in_words
from level5_monitoring.policy_backtest.calendars import LOOP
from shared.settings import Settings

FILE = "year.html"
DECISION = "A decision"  # among the links: the command that explains it
DRAWN = {  # the short name of each, and what it does
    LOOP: ("loop", "retrains when its policy decides"),
    "weekly": ("weekly", "retrains every Monday"),
    "frozen": ("never", "keeps the first model"),
}
REASONS = {"labels": "labels in alarm", "contract": "inputs in alarm"}  # why a day is excluded
WORST = {  # of the days that a cell spans, the one whose values it shows
    "alarm": "the furthest beyond its threshold",
    "ok": "the nearest to its threshold",
    "insufficient data": "the first day",
}
MIDDLE = 50  # percent
TOP = 3.0  # times its threshold: where a bar of drift is cut off


def write_page(settings: Settings) -> Path:
    """Read this level's year and write its page; returns the file."""
    workspace = f"MLOPS_WORKSPACE={settings.workspace}"  # a file has no server beside it: it names commands
    links = {"MLflow and Prefect": f"{workspace} make ui", "Evidently": f"{workspace} make reports"}
    links |= {DECISION: f"{workspace} make explain DECISION={{day}}"}
    own = config.own(settings)
    with config.open_log(settings) as log:
        return write(add_shares(read_year(log, own, links), log, own), own)


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
    made.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    made.filters |= {
        "day": _day,
        "dated": _dated,
        "figure": _figure,
        "times": _times,
        "words": in_words,
    }  # of texts and values
    made.filters |= {"cell": cell, "kind": kind_of, "height": height, "ratio": ratio}  # of results
    return made


def draw(year: Year) -> dict[str, Any]:
    """What the templates need: the year, and the place of everything on its axis."""
    axis = Axis(year.first, year.last)
    weeks = [week for week in year.weeks if week.loss]
    policies = {name: words for name, words in DRAWN.items() if weeks and name in weeks[0].loss}
    excluded = {day: REASONS[reason] for week in year.weeks for day, reason in week.excluded.items()}
    sundays = {day for weeks in year.drift.values() for day in weeks}
    return {
        "year": year,
        "axis": axis,
        "policies": policies,
        "champion": next((one for one in year.events[::-1] if one.kind == "promotion"), None),
        "verdict": verdict(year),
        "charts": charts(weeks, [*policies], axis),
        "bands": [_band(one, axis) for one in year.events if one.kind == "fault"],
        "left_out": [axis.span(days[0], days[-1]) for _, days in _consecutive(excluded, excluded.__getitem__)],
        "excluded": ", ".join(
            f"{_times(days, 'day')} with {reason}" for reason, days in Counter(excluded.values()).items()
        ),
        "events": [
            (event, name, links(event, year.links, sundays))
            for event, name in zip(year.events, event_names(year.events), strict=True)
        ],
        "urgent": [one for one in year.alarms if one.monitor in PAGE_FOR],
        "milder": [one for one in year.alarms if one.monitor not in PAGE_FOR],
        "unwell": [one for one in year.health if not one.ok],
        "states": {name: _runs(days) for name, days in year.states.items()},
        "counts": Counter(event.kind for event in year.events),
        "kinds": KINDS,
    }


def verdict(year: Year) -> list[str]:
    """The year in one sentence, by parts: effort, loss, failed requests."""
    if not year.made:
        return ["The year is being read"]
    counts = Counter(event.kind for event in year.events)
    if not counts["promotion"]:
        return ["No model is in production yet: the first one is being trained"]
    losses = year.sound_loss
    trainings = sum(one.kind == "training" and FAILED not in one.facts for one in year.events)
    mondays = f", not {max(len(year.weeks) - 1, 0)} (every Monday)" if year.compared else ""
    found = [f"Retrained {_times(trainings, 'time')}{mondays}"]
    if "weekly" in losses:
        worse = losses[LOOP] / losses["weekly"] - 1
        found.append(f"log loss {abs(worse):.2%} {'higher' if worse > 0 else 'lower'}")
    elif losses:
        found.append(f"log loss {losses[LOOP]:.4f}")
    if year.failed_requests is not None:
        found.append(_times(year.failed_requests, "failed request"))
    return found


def _times(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _band(fault: Event, axis: Axis) -> tuple[str, str]:
    """Where an injected fault is on the time line, and its words: after its begin, or in the right half before it."""
    left = axis.at(fault.first)
    return axis.span(fault.first, fault.last), f"left:{left}%" if left <= MIDDLE else f"right:{100 - left:.3f}%"


def links(event: Event, known: dict[str, str], reported: Container[str] = ()) -> list[tuple[str, str]]:
    """Where an event is shown in full: words and an address, or words and a command.

    known: as of `Year.links`. reported: the Sundays whose weeks are closed, so that Evidently reports them.
    """
    found, evidently = [], known.get("Evidently", "")
    if (mlflow := known.get("MLflow", "")).startswith("http"):
        for version in event.versions:
            at = quote(f"/#/models/{MODEL}/versions/{version}")
            found.append((f"version {version} and its run", f"{mlflow}?at={at}"))
    if evidently and any(one.monitor in ("drift", "contract") for one in event.evidence):
        sunday = str((pd.Timestamp(event.decision) + Week(0, weekday=6)).date())
        page = page_of_week(sunday) if sunday in reported else ""
        words = f"Evidently's report of the week to {_day(sunday)}" if page else "Evidently's dashboard"
        found.append((words, evidently + (f"?at={page}" if page and evidently.startswith("http") else "")))
    if event.decision and DECISION in known:
        found.append(("the whole decision", known[DECISION].format(day=event.decision)))
    return found


def kind_of(result: MonitorResult) -> str:
    """The CSS class of a cell. An alarm for which a person must look is not one that only informs."""
    if result.state == "alarm":
        return "alarm" if result.monitor in PAGE_FOR else "mild"
    return "ok" if result.state == "ok" else "unknown"


def height(result: MonitorResult) -> float:
    """Of a bar of drift, in percent: its threshold stands at a third."""
    return round(100 * min(max((ratio(result) or 0.0) / TOP, 0.04), 1.0), 1)


def ratio(result: MonitorResult) -> float | None:
    """A result's value divided by its threshold; None if it has none."""
    return result.value / result.threshold if result.value is not None and result.threshold else None


def event_names(events: list[Event]) -> list[str]:
    """The name of each event's HTML element: later events of other days or kinds do not change it."""
    earlier: Counter[str] = Counter()
    names = []
    for event in events:
        name = f"{event.kind}-{event.day}"
        names.append(f"{name}-{earlier[name]}")
        earlier[name] += 1
    return names


def _runs(days: dict[str, MonitorResult]) -> list[tuple[MonitorResult, str, str]]:
    """Consecutive days in one state: the most severe result, the first and the last day."""
    runs = _consecutive(days, lambda day: days[day].state)
    return [(max((days[day] for day in run), key=severity), run[0], run[-1]) for _, run in runs]


def _consecutive(days: Iterable[str], of: Callable[[str], str]) -> list[tuple[str, list[str]]]:
    """Runs of days that follow each other and have the same value `of` them, with this value."""
    order = sorted(days)
    starts = [pd.Timestamp(day) - pd.Timedelta(days=i) for i, day in enumerate(order)]  # equal for consecutive days
    runs = groupby(zip(order, starts, strict=True), key=lambda one: (of(one[0]), one[1]))
    return [(value, [day for day, _ in run]) for (value, _), run in runs]


def cell(result: MonitorResult, first: str = "", last: str = "") -> dict[str, str]:
    """What a cell opens. first, last: the days that it spans; of several, it shows the one with this result."""
    return {
        "message": _dated(result.message),
        "shown": f"{_day(result.day)}, {WORST[result.state]}" if first != last else "",
        "target": result.described_target,
        "value": _figure(result.value),
        "threshold": _figure(result.threshold),
        "rows": f"{result.rows:,}",
    }


def _day(text: str) -> str:
    return f"{pd.Timestamp(text):%a} {pd.Timestamp(text).day} {pd.Timestamp(text):%b}" if text else ""


def _dated(text: str) -> str:
    """A text with its days as the page writes them: "Mon 1 Apr" for 2013-04-01."""
    return re.sub(r"\b2013-[01]\d-[0-3]\d\b", lambda found: _day(found[0]), text)


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
