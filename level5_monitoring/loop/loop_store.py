"""The record of the loop: monitor results, decisions with their results, and the daily performance of champions."""

import json
from collections.abc import Iterable
from dataclasses import asdict, fields, replace
from typing import Any

import pandas as pd
import sqlalchemy as sa

from level4_deployment.prediction_log import insert
from level5_monitoring.loop import outbox
from level5_monitoring.loop.alerts import Alert
from level5_monitoring.loop.policy import Decision
from level5_monitoring.monitors.monitor_result import MonitorResult
from level5_monitoring.monitors.performance import DayPerformance
from level5_monitoring.tables import DAILY_PERFORMANCE, DECISIONS, MONITOR_RESULTS

OPEN, DONE = "open", "done"  # decided; carried out
OF_RESULT = 1000  # number of the first alert about a result: after those about the decision


def record_decision(
    log: sa.Engine, decision: Decision, results: Iterable[MonitorResult], alerts: Iterable[Alert]
) -> Decision:
    """Write a day with all its results and alerts in one transaction, unless it is on record already.

    Returns the decision that is on record.
    """
    row = {name: getattr(decision, name) for name in ("day", "kind", "reason", "cause", "experiment", "version")}
    row |= {"evidence": _dump(decision.evidence), "alarms": _dump(decision.alarms), "state": OPEN}
    rows = [asdict(_plain(one)) | {"day": decision.day, "number": i} for i, one in enumerate(results)]
    with log.begin() as connection:
        if connection.execute(insert(log, DECISIONS).returning(DECISIONS.c.day), row).first():
            if rows:
                connection.execute(insert(log, MONITOR_RESULTS), rows)
            outbox.put(log, connection, alerts)
    return find_decision(log, decision.day) or decision


def close_decision(log: sa.Engine, day: str, result: dict[str, Any], alerts: Iterable[Alert] = ()) -> None:
    """The decision of the day was carried out, with this result and the alerts about it; the first result stays."""
    done = {"state": DONE, "result": json.dumps(result, default=str)}
    close = DECISIONS.update().where(DECISIONS.c.day == day, DECISIONS.c.state == OPEN).values(done)
    with log.begin() as connection:
        if connection.execute(close.returning(DECISIONS.c.day)).first():
            outbox.put(log, connection, alerts, first=OF_RESULT)


def decisions(log: sa.Engine) -> list[dict[str, Any]]:
    """All decisions, oldest first, as dicts: the columns of DECISIONS; evidence, alarms and result parsed."""
    with log.connect() as connection:
        rows = connection.execute(sa.select(DECISIONS).order_by(DECISIONS.c.day)).mappings().all()
    parsed = ("evidence", "alarms", "result")
    return [dict(row) | {name: json.loads(row[name] or "{}") for name in parsed} for row in rows]


def find_decision(log: sa.Engine, day: str) -> Decision | None:
    """The decision of a day, if there is one."""
    names = [field.name for field in fields(Decision)]
    with log.connect() as connection:
        query = sa.select(*(DECISIONS.c[name] for name in names)).where(DECISIONS.c.day == day)
        row = connection.execute(query).mappings().first()
    if row is None:
        return None
    return Decision(**dict(row) | {name: load_results(row[name]) for name in ("evidence", "alarms")})


def last_day_done(log: sa.Engine) -> str | None:
    """The last day whose decision was carried out; None before the first."""
    with log.connect() as connection:
        return connection.execute(sa.select(sa.func.max(DECISIONS.c.day)).where(DECISIONS.c.state == DONE)).scalar()


def monitor_results(
    log: sa.Engine, first: str = "", last: str = "9999", *, monitor: str | None = None
) -> list[MonitorResult]:
    """The results of the days from `first` to `last`, in order."""
    table = MONITOR_RESULTS.c
    query = sa.select(*(table[field.name] for field in fields(MonitorResult))).where(table.day.between(first, last))
    if monitor:
        query = query.where(table.monitor == monitor)
    with log.connect() as connection:
        rows = connection.execute(query.order_by(table.day, table.number)).mappings()
        return [MonitorResult(**row) for row in rows]


def newest_monitor_results(log: sa.Engine) -> list[MonitorResult]:
    """Of each monitor, its results of the last day on which it ran."""
    table = MONITOR_RESULTS.c
    with log.connect() as connection:
        days = connection.execute(sa.select(table.monitor, sa.func.max(table.day)).group_by(table.monitor)).all()
    return [result for monitor, day in days for result in monitor_results(log, day, day, monitor=monitor)]


def save_performance(log: sa.Engine, day: DayPerformance) -> None:
    """Write a measured day, unless it is on record already."""
    with log.begin() as connection:
        connection.execute(insert(log, DAILY_PERFORMANCE), asdict(day))


def performance_of(log: sa.Engine, version: int, until: str) -> pd.DataFrame:
    """The measured days of a version up to day `until`, oldest first."""
    table = DAILY_PERFORMANCE.c
    return _performance(log, sa.select(*table).where(table.version == version, table.day <= until).order_by(table.day))


def last_performance(log: sa.Engine, count: int) -> pd.DataFrame:
    """The last `count` measured days of all champions, oldest first."""
    newest_first = sa.select(DAILY_PERFORMANCE).order_by(DAILY_PERFORMANCE.c.day.desc()).limit(count)
    return _performance(log, newest_first)[::-1].reset_index(drop=True)


def _performance(log: sa.Engine, query: sa.Select[Any]) -> pd.DataFrame:
    with log.connect() as connection:
        return pd.DataFrame(connection.execute(query).mappings().all(), columns=DAILY_PERFORMANCE.columns.keys())


def _plain(result: MonitorResult) -> MonitorResult:
    """The result with Python's own numbers, because databases and JSON know no NumPy."""
    value, threshold = (None if number is None else float(number) for number in (result.value, result.threshold))
    return replace(result, rows=int(result.rows), value=value, threshold=threshold)


def _dump(results: Iterable[MonitorResult]) -> str:
    return json.dumps([asdict(_plain(one)) for one in results])


def load_results(text: str) -> tuple[MonitorResult, ...]:
    """Monitor results from their JSON in DECISIONS."""
    return tuple(MonitorResult(**one) for one in json.loads(text))
