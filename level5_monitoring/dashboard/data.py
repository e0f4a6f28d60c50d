"""All that the page shows, read from the tables: plain values, so that the page itself only draws."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa

from level4_deployment.experiment import labels
from level4_deployment.prediction_log import LABELS, PREDICTIONS, QUARANTINED_LABELS
from level5_monitoring.calendar_policies import FILE, POLICIES
from level5_monitoring.dashboard import events
from level5_monitoring.dashboard.events import Event
from level5_monitoring.dashboard.health import Health, of_the_loop
from level5_monitoring.loop import loop_store
from level5_monitoring.monitors.monitor_result import MonitorResult
from level5_monitoring.policy_comparison import LOOP
from shared.settings import NEW_YORK

SHOWN = ["frozen", "weekly"]  # of the policies by the calendar, those that the page draws
MONITORS = [
    "contract",
    "volume",
    "labels",
    "performance",
    "regression_vs_previous",
    "severe_regression",
]  # those that look each day
SETTLED = 5 * 86_400.0  # seconds after a week's end: by then also outcomes that come days late are there


@dataclass(frozen=True)
class Week:
    """Flights that were to depart in the seven days from `monday` on.

    rows: those with an outcome, on which all of `loss` (nats per flight, by policy) is the mean. asked: the machine's
    clock when the first flight of each day was asked for (seconds since 1970).
    """

    monday: str
    rows: int
    loss: dict[str, float]
    asked: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Year:
    """What the page shows. Days are those of departure in New York.

    first, last: the days that the time line spans. now: the day that is being predicted, or "". weeks: oldest first.
    drift: the weekly findings, by column, then Sunday. states: by monitor, then day, the worst state of its findings.
    champion: `version`, `since` (day) and `before` of the model in production; empty before the first.
    alarms: findings whose alarm is on. links: by name, an address or a command.
    """

    made: str
    first: str
    last: str
    now: str
    weeks: list[Week]
    drift: dict[str, dict[str, MonitorResult]]
    states: dict[str, dict[str, MonitorResult]]
    events: list[Event]
    champion: dict[str, Any]
    alarms: list[MonitorResult]
    health: list[Health]
    links: dict[str, str]
    compared: bool  # whether the policies by the calendar are there to compare with


def gather(
    log: sa.Engine,
    home: Path,
    links: dict[str, str],
    done: dict[str, Week] | None = None,
    platform: Iterable[Health] = (),
) -> Year:
    """Read it all. home: this level's folder; done: weeks read before that cannot change, kept by the caller.

    platform: how the platform stands, if one runs.
    """
    others = read_others(home)
    weeks = read_weeks(log, others, {} if done is None else done)
    asked = {day: at for week in weeks for day, at in week.asked.items()}
    found = loop_store.monitor_results(log)
    decisions = loop_store.decisions(log)
    happened = events.read_events(log, decisions, asked, home)
    first = min(asked, default="2013-04-01")
    return Year(
        made=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        first=first,
        last=max([*asked, str((pd.Timestamp(first) + pd.DateOffset(days=28)).date())]),
        now=max(asked, default=""),
        weeks=weeks,
        drift=_drift(found),
        states=_states(found),
        events=happened,
        champion=events.champion(log, asked),
        alarms=[MonitorResult(**one) for one in decisions[-1]["alarms"]] if decisions else [],
        health=[*of_the_loop(log, decisions), *platform],
        links=links,
        compared=others is not None,
    )


def read_others(home: Path) -> pd.DataFrame | None:
    """What the policies by the calendar would have answered, by flight; None while nobody has computed it."""
    if not (home / FILE).exists():
        return None
    return pd.read_parquet(home / FILE, columns=["flight_id", *POLICIES]).set_index("flight_id")


def read_weeks(log: sa.Engine, others: pd.DataFrame | None, done: dict[str, Week]) -> list[Week]:
    """Each week's losses; weeks in `done` are not read again, and settled ones are added to it."""
    if others is not None and any(week.loss and not week.loss.keys() >= {*SHOWN} for week in done.values()):
        done.clear()  # read while there was nothing to compare with
    begin = _monday_after(max(done)) if done else 0.0
    rows = _with_days(_answers(log, begin))
    loss = _losses(rows, others)
    monday = rows["monday"].loc[loss.index]
    counts = loss.groupby(monday, observed=True).size()
    means: dict[Any, Any] = loss.groupby(monday, observed=True).mean().to_dict("index")
    asked = rows.groupby(["monday", "day"], observed=True)["asked_at"].min()
    new = [
        Week(
            monday=str(name),
            rows=int(counts.get(name, 0)),
            loss=means.get(str(name), {}),
            asked=dict(zip(days.index.get_level_values("day").astype(str), days.tolist(), strict=True)),
        )
        for name, days in asked.groupby("monday", observed=True)
    ]
    weeks = [*(done[monday] for monday in sorted(done)), *new]
    settled = (labels.read_watermark(log) or 0.0) - SETTLED
    done |= {week.monday: week for week in new if _monday_after(week.monday) <= settled}
    return weeks


def _monday_after(monday: str) -> float:
    return (pd.Timestamp(monday, tz=NEW_YORK) + pd.DateOffset(days=7)).timestamp()


def _with_days(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows in order of departure, with `day` and the `monday` before it."""
    ends = rows["departs_at"].iloc[[0, -1]] if len(rows) else pd.Series([0.0, 0.0])
    first, last = (pd.Timestamp(at, unit="s", tz=NEW_YORK).normalize() for at in ends)
    days = pd.date_range(first, last, freq="D")
    mondays = days.tz_localize(None) - pd.to_timedelta(days.weekday, unit="D")
    of = np.searchsorted(days.as_unit("s").asi8, rows["departs_at"].to_numpy(float), side="right") - 1
    names = {"day": days, "monday": mondays}
    return rows.assign(
        **{
            name: pd.Categorical.from_codes(*pd.factorize(values.strftime("%Y-%m-%d"))).take(of)
            for name, values in names.items()
        }
    )


def _answers(log: sa.Engine, begin: float) -> pd.DataFrame:
    """The first answer to each flight that departs from `begin` on, in order of departure; late: None if unknown."""
    undisputed = LABELS.c.flight_id.not_in(sa.select(QUARANTINED_LABELS.c.flight_id))
    names = ("flight_id", "departs_at", "asked_at", "probability")
    query = (
        sa.select(*(PREDICTIONS.c[name] for name in names), LABELS.c.late)
        .select_from(PREDICTIONS)
        .outerjoin(LABELS, sa.and_(LABELS.c.flight_id == PREDICTIONS.c.flight_id, undisputed))
        .where(PREDICTIONS.c.departs_at >= begin)
    )
    with log.connect() as connection:
        cursor = connection.execute(query).cursor  # a year's rows without an object for each
        found = pd.DataFrame(cursor.fetchall() if cursor else [], columns=[*names, "late"])
    return found.sort_values(["departs_at", "asked_at"], kind="stable").drop_duplicates("flight_id")


def _losses(rows: pd.DataFrame, others: pd.DataFrame | None) -> pd.DataFrame:
    """Log loss of each flight that has an outcome, by policy, on the flights that all of them have answered."""
    told = rows[rows["late"].notna()]
    chances = told[["probability"]].set_axis([LOOP], axis="columns").astype(float)
    if others is not None:
        by_calendar = others[SHOWN].reindex(told["flight_id"]).set_index(told.index)
        chances = pd.concat([chances, by_calendar], axis="columns").dropna()
    late = told["late"].loc[chances.index].to_numpy(float)[:, None]
    inside = chances.to_numpy(float).clip(1e-15, 1 - 1e-15)
    return pd.DataFrame(-np.log(np.where(late == 1, inside, 1 - inside)), chances.index, chances.columns)


def _drift(found: list[MonitorResult]) -> dict[str, dict[str, MonitorResult]]:
    """The columns that have drifted farthest, for their limits, come first."""
    table: dict[str, dict[str, MonitorResult]] = {}
    for one in found:
        if one.monitor == "drift":
            table.setdefault(one.target, {})[one.day] = one
    return dict(sorted(table.items(), key=lambda item: -max(ratio(one) for one in item[1].values())))


def ratio(found: MonitorResult) -> float:
    """A finding's value in parts of its limit; 0 where one of them is not there."""
    return found.value / found.threshold if found.value is not None and found.threshold else 0.0


def _states(found: list[MonitorResult]) -> dict[str, dict[str, MonitorResult]]:
    """Of each monitor and day one finding: an alarm if there is one, and "insufficient data" only where all say so."""
    order = {"insufficient data": 0, "ok": 1, "alarm": 2}
    table: dict[str, dict[str, MonitorResult]] = {name: {} for name in MONITORS}
    for one in found:
        if one.monitor in table:
            days = table[one.monitor]
            if one.day not in days or order[one.state] > order[days[one.day].state]:
                days[one.day] = one
    return {name: days for name, days in table.items() if days}
