"""Everything that the page shows, read from the tables as plain values: the page itself only draws."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, get_args

import numpy as np
import pandas as pd
import sqlalchemy as sa

from level4_deployment.control import client
from level4_deployment.experiment import labels
from level4_deployment.experiment.guardrails import FAILED
from level4_deployment.prediction_log import INFERENCE_BATCHES, PREDICTIONS, first_predictions
from level4_deployment.serving import reloader
from level5_monitoring.dashboard import events
from level5_monitoring.dashboard.events import Event
from level5_monitoring.live_year.year_record import read_requests
from level5_monitoring.loop import loop_store, outbox
from level5_monitoring.loop.policy import excluded_reason
from level5_monitoring.monitors.distances import COLUMNS
from level5_monitoring.monitors.monitor_result import Monitor, MonitorResult
from level5_monitoring.policy_backtest.calendars import LOOP, PREDICTIONS_FILE, read_predictions
from level5_monitoring.policy_backtest.comparison import PolicyResult, read_results
from shared.errors import UserError
from shared.files import StateError
from shared.score import log_losses
from shared.settings import NEW_YORK

DRAWN = ["frozen", "weekly"]  # the calendar policies that the page draws
DAILY_MONITORS = [monitor for monitor in get_args(Monitor) if monitor != "drift"]
BEGIN = "2013-04-01"  # of the time line before the first prediction
SETTLED_AFTER = 5 * 86_400.0  # seconds from a day's end until no late label of it is missing
ANSWERS_WITHIN = 2.0  # seconds for the platform to answer
Kept = TypeVar("Kept")


class Health(NamedTuple):
    """One thing that must work, its state, and whether that is good."""

    what: str
    state: str
    ok: bool


class Day(NamedTuple):
    """Flights that departed on a day.

    rows: those with a label; `loss` is their mean log loss by policy (nats per flight), all on the same flights.
    asked: the machine's clock at its first prediction (seconds since 1970).
    """

    rows: int
    loss: dict[str, float]
    asked: float


@dataclass(frozen=True)
class Week:
    """Flights that departed in the seven days from `monday` on.

    loss: as of Day, over all days; sound_rows, sound_loss: over the days that are not excluded.
    excluded: by day, why its labels or its inputs are suspect, as the loop has found.
    """

    monday: str
    loss: dict[str, float]
    excluded: dict[str, str]
    sound_rows: int
    sound_loss: dict[str, float]


@dataclass(frozen=True)
class Year:
    """What the page shows; without values, of a year that is still being read. Days are days of departure in New York.

    first, last: the days that the time line spans. now: the newest predicted day, or "". weeks: oldest first.
    drift: the weekly results, by column, then Sunday. states: by monitor and day, its most severe result.
    sound_rows, sound_loss: as of Week, of all weeks. alarms: the active ones. links: by name, an address or a command.
    compared: whether the calendar policies have been trained. answered: predictions that users got.
    failed_requests: requests of users that got no answer; None where nobody has counted them. policies: the result
    of each on all flights by their true labels, once `make level5` has ended. shares: see `shares.add_shares`.
    """

    made: str = ""
    first: str = BEGIN
    last: str = "2013-04-29"
    now: str = ""
    weeks: list[Week] = field(default_factory=list)
    drift: dict[str, dict[str, MonitorResult]] = field(default_factory=dict)
    states: dict[str, dict[str, MonitorResult]] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    sound_rows: int = 0
    sound_loss: dict[str, float] = field(default_factory=dict)
    alarms: list[MonitorResult] = field(default_factory=list)
    health: list[Health] = field(default_factory=list)
    links: dict[str, str] = field(default_factory=dict)
    compared: bool = False
    answered: int = 0
    failed_requests: int | None = 0
    policies: dict[str, PolicyResult] = field(default_factory=dict)
    shares: dict[str, dict[str, Any]] = field(default_factory=dict)


def read_year(
    log: sa.Engine,
    home: Path,
    links: dict[str, str],
    settled: dict[str, Day] | None = None,
    platform: Iterable[Health] = (),
) -> Year:
    """Read everything. home: this level's folder; platform: the health of a platform that runs, if one does.

    settled: days that are complete: they are not read again. The caller keeps it from one call to the next.
    """
    health = list(platform)
    calendar = _kept("calendar policies", lambda: _read_calendar(home), health)
    printed = _kept("scores of all flights", lambda: read_results(home), health)
    requests = _kept("requests of users", lambda: read_requests(home), health)
    days = read_days(log, calendar, {} if settled is None else settled)
    asked = {name: day.asked for name, day in days.items()}
    results, decisions = loop_store.monitor_results(log), loop_store.decisions(log)
    alarms = {one["day"]: [MonitorResult(**alarm) for alarm in one["alarms"]] for one in decisions}
    excluded = {day: reason for day, active in alarms.items() if (reason := excluded_reason(active))}
    sound_rows, sound_loss = _mean_loss([day for name, day in days.items() if name not in excluded])
    with log.connect() as connection:
        answered = connection.execute(sa.select(sa.func.count()).select_from(PREDICTIONS)).scalar_one()
    first = min(asked, default=BEGIN)
    four_weeks = str((pd.Timestamp(first) + pd.DateOffset(days=28)).date())
    return Year(
        made=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        first=first,
        last=max([*asked, four_weeks]),
        now=max(asked, default=""),
        weeks=weeks_of(days, excluded),
        drift=_drift(results),
        states=_states(results),
        events=events.read_events(log, decisions, asked, home),
        sound_rows=sound_rows,
        sound_loss=sound_loss,
        alarms=alarms[max(alarms)] if alarms else [],
        health=[*loop_health(log, decisions), *health],
        links=links,
        compared=calendar is not None,
        answered=answered,
        failed_requests=requests.failed if requests else None if answered else 0,
        policies=printed[0] if printed else {},
    )


def _kept(what: str, read: Callable[[], Kept], health: list[Health]) -> Kept | None:
    """What a file holds; None if there is none yet, or if it is garbled, which goes to `health`."""
    try:
        return read()
    except FileNotFoundError:
        return None
    except StateError as error:
        health.append(Health(what, str(error), ok=False))
        return None


def _read_calendar(home: Path) -> pd.DataFrame:
    """Probabilities of the policies that are drawn, by flight_id. Raises StateError or FileNotFoundError."""
    return _calendar(home, (home / PREDICTIONS_FILE).stat().st_mtime_ns)


@lru_cache(maxsize=1)
def _calendar(home: Path, _written: int) -> pd.DataFrame:
    """The same, kept until the file is written again: reading it takes half of the time for a page."""
    return read_predictions(home)[["flight_id", *DRAWN]].set_index("flight_id")


def read_days(log: sa.Engine, calendar: pd.DataFrame | None, settled: dict[str, Day]) -> dict[str, Day]:
    """Each day's losses, oldest first; adds the days that are complete now to `settled`."""
    policies = {LOOP} if calendar is None else {LOOP, *DRAWN}
    if any(day.loss and day.loss.keys() != policies for day in settled.values()):
        settled.clear()  # they were read before the calendar policies had been trained
    begin = _next_day(max(settled)) if settled else 0.0
    columns = [PREDICTIONS.c[name] for name in ("flight_id", "departs_at", "asked_at", "probability")]
    rows = first_predictions(log, columns, where=[PREDICTIONS.c.departs_at >= begin])
    departs = pd.to_datetime(rows["departs_at"].astype(float), unit="s", utc=True)
    day = departs.dt.tz_convert(NEW_YORK).dt.tz_localize(None).dt.normalize()
    names = {at: str(at.date()) for at in day.unique()}  # strftime takes six seconds for a year
    rows = rows.assign(day=day.map(names))
    losses = _losses(rows, calendar)
    by_day = losses.groupby(rows["day"].loc[losses.index])
    labelled: dict[Any, int] = by_day.size().to_dict()
    loss_of: dict[Any, Any] = by_day.mean().to_dict("index")
    asked: dict[Any, float] = rows.groupby("day")["asked_at"].min().to_dict()
    new = {name: Day(labelled.get(name, 0), loss_of.get(name, {}), asked[name]) for name in sorted(asked)}
    days = settled | new
    until = (labels.read_watermark(log) or 0.0) - SETTLED_AFTER
    settled |= {name: one for name, one in new.items() if _next_day(name) <= until}
    return days


def _next_day(day: str) -> float:
    return (pd.Timestamp(day, tz=NEW_YORK) + pd.DateOffset(days=1)).timestamp()


def weeks_of(days: dict[str, Day], excluded: dict[str, str]) -> list[Week]:
    """The weeks of these days, oldest first; excluded: by day, why."""
    weeks = []
    for monday, names in groupby(sorted(days), key=lambda name: str(pd.Period(name, "W").start_time.date())):
        own = [*names]
        _, loss = _mean_loss([days[name] for name in own])
        sound = [days[name] for name in own if name not in excluded]
        weeks.append(Week(monday, loss, {name: excluded[name] for name in own if name in excluded}, *_mean_loss(sound)))
    return weeks


def _mean_loss(days: list[Day]) -> tuple[int, dict[str, float]]:
    """The labelled flights of these days, and their mean log loss by policy."""
    labelled = [day for day in days if day.rows]
    if not labelled:
        return 0, {}
    rows = [day.rows for day in labelled]
    losses = {name: float(np.average([day.loss[name] for day in labelled], weights=rows)) for name in labelled[0].loss}
    return sum(rows), losses


def _losses(rows: pd.DataFrame, calendar: pd.DataFrame | None) -> pd.DataFrame:
    """Log loss of each labelled flight, by policy, on the flights that every policy has answered."""
    labelled = rows[rows["late"].notna()]
    chances = labelled[["probability"]].set_axis([LOOP], axis="columns").astype(float)
    if calendar is not None:
        others = calendar.reindex(labelled["flight_id"]).set_index(labelled.index)
        chances = pd.concat([chances, others], axis="columns").dropna()
    late = labelled["late"].loc[chances.index]
    return pd.DataFrame({policy: log_losses(late, chances[policy]) for policy in chances}, index=chances.index)


def _drift(results: list[MonitorResult]) -> dict[str, dict[str, MonitorResult]]:
    """The drift of each column by Sunday; columns always stand in the order of COLUMNS."""
    table: dict[str, dict[str, MonitorResult]] = {}
    for one in results:
        if one.monitor == "drift":
            table.setdefault(one.target, {})[one.day] = one
    return dict(sorted(table.items(), key=lambda item: COLUMNS.index(item[0])))


def _states(results: list[MonitorResult]) -> dict[str, dict[str, MonitorResult]]:
    """The most severe result of each daily monitor and day; also a monitor that has none yet keeps its row."""
    table: dict[str, dict[str, MonitorResult]] = {}
    for one in sorted(results, key=severity):  # the later one is written over the earlier one
        table.setdefault(one.monitor, {})[one.day] = one
    return {name: table.get(name, {}) for name in DAILY_MONITORS} if table else {}


def severity(result: MonitorResult) -> tuple[int, float]:
    """To order the results of a monitor: the further beyond its threshold, or the nearer to it, the more severe."""
    distance = 0.0
    if result.value is not None and result.threshold is not None:
        distance = abs(result.value - result.threshold)
    order = ("insufficient data", "ok", "alarm").index(result.state)
    return order, distance if result.state == "alarm" else -distance


def loop_health(log: sa.Engine, decisions: list[dict[str, Any]]) -> list[Health]:
    """Whether flights and labels arrive and the loop keeps up, from the tables; decisions: all on record."""
    scored = sa.select(sa.func.sum(INFERENCE_BATCHES.c.rows), sa.func.sum(INFERENCE_BATCHES.c.failed))
    with log.connect() as connection:
        newest = connection.execute(sa.select(sa.func.max(PREDICTIONS.c.departs_at))).scalar()
        rows, failed = (int(value or 0) for value in connection.execute(scored).one())
    watermark, undelivered = labels.read_watermark(log), outbox.undelivered(log)
    unfinished = [one["day"] for one in decisions if one["state"] == loop_store.OPEN]
    under_way = f", under way: {', '.join(unfinished)}" if unfinished else ""
    return [
        Health("newest departure", _clock(newest), newest is not None),
        Health("labels received up to", _clock(watermark), watermark is not None),
        Health("days decided", f"{len(decisions)}{under_way}", len(unfinished) <= 1),
        Health("challenger predictions missing or late", f"{failed:,} of {rows:,}", failed <= FAILED[0] * rows),
        Health("alerts not delivered", str(undelivered), undelivered == 0),
    ]


def platform_health(home: Path) -> list[Health]:
    """Whether the platform in this folder is not degraded, and its workers serve the current routes."""
    try:
        with client.PlatformClient.at(home, "loop", timeout=ANSWERS_WITHIN) as platform:
            status = platform.get("/status")
        degraded, routes = str(status["degraded"]), status["routes"]
    except client.OtherCodeError:
        return [Health("platform", "runs other code than this page: start it again", ok=False)]
    except (UserError, OSError):
        return [Health("platform", "does not answer", ok=False)]
    workers, wanted = reloader.workers(home), routes["generation"] if routes else None
    current = sum(one["generation"] == wanted and not one["refused"] for one in workers)
    return [
        Health("platform", degraded or "healthy", not degraded),
        Health("workers on the current routes", f"{current} of {len(workers)}", 0 < current == len(workers)),
    ]


def _clock(at: float | None) -> str:
    return f"{pd.Timestamp(at, unit='s', tz=NEW_YORK):%d %b %H:%M}" if at else "none yet"
