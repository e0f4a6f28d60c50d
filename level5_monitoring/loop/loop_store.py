"""The record of the loop: monitor results, decisions with their results, and the daily performance of champions."""

import json
from collections.abc import Iterable
from dataclasses import asdict, fields
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

RESULT_COLUMNS = [MONITOR_RESULTS.c[field.name] for field in fields(MonitorResult)]
RESULTS = ("evidence", "alarms")  # columns of DECISIONS that hold monitor results, as JSON
OPEN, DONE = "open", "done"  # decided; carried out
OF_RESULT = 1000  # number of the first alert about a result: after those about the decision


def record_decision(
    log: sa.Engine, decision: Decision, results: Iterable[MonitorResult], alerts: Iterable[Alert]
) -> Decision:
    """Write a day with all its results and alerts in one transaction, unless it is on record already.

    Returns the decision that is on record.
    """
    row = {name: getattr(decision, name) for name in ("day", "kind", "reason", "cause", "experiment", "version")}
    row |= {name: json.dumps([asdict(one) for one in getattr(decision, name)]) for name in RESULTS}
    row["state"] = OPEN
    rows = [asdict(one) | {"day": decision.day, "number": i} for i, one in enumerate(results)]
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


def decisions(log: sa.Engine, day: str | None = None) -> list[dict[str, Any]]:
    """The decision of a day, if there is one; without a day, all, oldest first.

    As dicts: the columns of DECISIONS; evidence, alarms and result parsed.
    """
    query = sa.select(DECISIONS).where(DECISIONS.c.day == day if day else sa.true()).order_by(DECISIONS.c.day)
    with log.connect() as connection:
        rows = connection.execute(query).mappings().all()
    return [dict(row) | {name: json.loads(row[name] or "{}") for name in (*RESULTS, "result")} for row in rows]


def find_decision(log: sa.Engine, day: str) -> Decision | None:
    """The decision of a day, if there is one."""
    if not (rows := decisions(log, day)):
        return None
    found = {field.name: rows[0][field.name] for field in fields(Decision)}
    found |= {name: tuple(MonitorResult(**one) for one in found[name]) for name in RESULTS}
    return Decision(**found)


def last_day_done(log: sa.Engine) -> str | None:
    """The last day whose decision was carried out; None before the first."""
    with log.connect() as connection:
        return connection.execute(sa.select(sa.func.max(DECISIONS.c.day)).where(DECISIONS.c.state == DONE)).scalar()


def monitor_results(log: sa.Engine, day: str | None = None) -> list[MonitorResult]:
    """The results of a day, in order; without a day, all."""
    return select_results(log, MONITOR_RESULTS.c.day == day if day else sa.true())


def newest_monitor_results(log: sa.Engine) -> list[MonitorResult]:
    """Of each monitor, its results of the last day on which it ran."""
    monitor, day = MONITOR_RESULTS.c.monitor, MONITOR_RESULTS.c.day
    newest = sa.select(monitor, sa.func.max(day)).group_by(monitor)
    return select_results(log, sa.tuple_(monitor, day).in_(newest))


def select_results(log: sa.Engine, which: sa.ColumnElement[bool]) -> list[MonitorResult]:
    """The results that `which` selects, oldest first."""
    query = sa.select(*RESULT_COLUMNS).where(which).order_by(MONITOR_RESULTS.c.day, MONITOR_RESULTS.c.number)
    with log.connect() as connection:
        return [MonitorResult(**row) for row in connection.execute(query).mappings()]


def save_performance(log: sa.Engine, day: DayPerformance) -> None:
    """Write a measured day, unless it is on record already."""
    with log.begin() as connection:
        connection.execute(insert(log, DAILY_PERFORMANCE), asdict(day))


def performance_until(log: sa.Engine, day: str) -> pd.DataFrame:
    """The measured days of all champions up to this day, oldest first."""
    table = DAILY_PERFORMANCE.c
    return pd.read_sql(sa.select(*table).where(table.day <= day).order_by(table.day, table.version), log)


def last_performance(log: sa.Engine, count: int) -> pd.DataFrame:
    """The last `count` measured days of all champions, oldest first."""
    newest_first = sa.select(DAILY_PERFORMANCE).order_by(DAILY_PERFORMANCE.c.day.desc()).limit(count)
    return pd.read_sql(newest_first, log)[::-1].reset_index(drop=True)
