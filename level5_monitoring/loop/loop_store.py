"""The record of the loop: what was found, what was decided and why, what came of it, and who is to be told."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any
from uuid import uuid4

import sqlalchemy as sa

from level4_deployment.prediction_log import METADATA, insert
from level5_monitoring.loop.alerts import Alert
from level5_monitoring.loop.policy import Decision
from level5_monitoring.monitors.monitor_result import MonitorResult

OPEN, DONE = "open", "done"  # decided; acted upon to the end
OF_RESULT = 1000  # the number of the first alert about a result: after those about the decision
OF_FEEDS = 2000  # and of one that follows from none

MONITOR_RESULTS = sa.Table(
    "monitor_results",  # all that the monitors said of a day, in their order
    METADATA,
    sa.Column("day", sa.Text, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("monitor", sa.Text, nullable=False, index=True),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("rows", sa.Integer, nullable=False),
    sa.Column("value", sa.Double),
    sa.Column("threshold", sa.Double),
)
DECISIONS = sa.Table(
    "decisions",
    METADATA,
    sa.Column("day", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("cause", sa.Text, nullable=False),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("evidence", sa.Text, nullable=False),  # JSON: the findings that led to it
    sa.Column("alarms", sa.Text, nullable=False),  # JSON: the findings whose alarm was on after this day
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("result", sa.Text),  # JSON
)
ALERTS = sa.Table(
    "alerts",  # the outbox
    METADATA,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("number", sa.Integer, nullable=False),  # within its day
    sa.Column("day", sa.Text, nullable=False),
    sa.Column("severity", sa.Text, nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("delivered", sa.Integer, nullable=False),  # 1 when the sink has it
    sa.Column("error", sa.Text),  # why the last try failed
)
INSTANCE_ID = sa.Table(
    "instance_id",  # one row
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
)


def instance_id(log: sa.Engine) -> str:
    """A name that no other log has: days come again in another one, and with them the keys of alerts."""
    with log.begin() as connection:
        connection.execute(insert(log, INSTANCE_ID), {"number": 1, "name": uuid4().hex[:12]})
        return str(connection.execute(sa.select(INSTANCE_ID.c.name)).scalar_one())


def record_decision(
    log: sa.Engine, decision: Decision, findings: Iterable[MonitorResult], alerts: Iterable[Alert]
) -> Decision:
    """Write down a day, all or nothing; a day on record stays as it is. Returns the decision that is on record."""
    seen = [_plain(found) for found in findings]
    row = {
        **{name: getattr(decision, name) for name in ("day", "kind", "reason", "cause", "target")},
        "evidence": _dump(decision.evidence),
        "alarms": _dump(decision.alarms),
        "state": OPEN,
    }
    with log.begin() as connection:
        if connection.execute(insert(log, DECISIONS).returning(DECISIONS.c.day), row).first():
            found = [asdict(one) | {"day": decision.day, "number": i} for i, one in enumerate(seen)]
            if found:
                connection.execute(insert(log, MONITOR_RESULTS), found)
            _put_out(log, connection, alerts, 0)
    return decision_of(log, decision.day) or decision


def close_decision(log: sa.Engine, day: str, result: dict[str, Any], alerts: Iterable[Alert] = ()) -> None:
    """The day's decision was acted upon, with this result, of which people are told; the first result stays."""
    done = {"state": DONE, "result": json.dumps(result, default=str)}
    open_one = DECISIONS.update().where(DECISIONS.c.day == day, DECISIONS.c.state == OPEN)
    with log.begin() as connection:
        if connection.execute(open_one.values(done).returning(DECISIONS.c.day)).first():
            _put_out(log, connection, alerts, OF_RESULT)


def enqueue_alerts(log: sa.Engine, alerts: Iterable[Alert]) -> None:
    """Alerts that follow from no decision, into the outbox; one whose key is there is told already."""
    with log.begin() as connection:
        _put_out(log, connection, alerts, OF_FEEDS)


def count_alerts(log: sa.Engine, begins: str) -> int:
    """How many alerts have a key that begins so."""
    query = sa.select(sa.func.count()).where(ALERTS.c.key.startswith(begins))
    with log.connect() as connection:
        return int(connection.execute(query).scalar_one())


def _put_out(log: sa.Engine, connection: sa.Connection, alerts: Iterable[Alert], first: int) -> None:
    """Alerts into the outbox, numbered from `first` on."""
    if told := [asdict(alert) | {"number": i, "delivered": 0} for i, alert in enumerate(alerts, first)]:
        connection.execute(insert(log, ALERTS), told)


def decisions(log: sa.Engine) -> list[dict[str, Any]]:
    """All decisions, oldest first, as dicts: the columns of DECISIONS; evidence, alarms and result as read."""
    with log.connect() as connection:
        rows = connection.execute(sa.select(DECISIONS).order_by(DECISIONS.c.day)).mappings().all()
    return [
        dict(row) | {name: json.loads(row[name] or "{}") for name in ("evidence", "alarms", "result")} for row in rows
    ]


def last_done(log: sa.Engine) -> str | None:
    """The last day that was decided upon to the end; None before the first."""
    with log.connect() as connection:
        return connection.execute(sa.select(sa.func.max(DECISIONS.c.day)).where(DECISIONS.c.state == DONE)).scalar()


def decision_of(log: sa.Engine, day: str) -> Decision | None:
    """What was decided on a day, if anything was."""
    with log.connect() as connection:
        row = connection.execute(sa.select(DECISIONS).where(DECISIONS.c.day == day)).mappings().first()
    if row is None:
        return None
    evidence, alarms = load(row["evidence"]), load(row["alarms"])
    return Decision(day, row["kind"], row["reason"], evidence, row["cause"], alarms, row["target"])


def monitor_results(
    log: sa.Engine, first: str = "", last: str = "9999", *, monitor: str | None = None
) -> list[MonitorResult]:
    """The findings of the days from `first` to `last`, in order."""
    query = sa.select(*(MONITOR_RESULTS.c[name] for name in MonitorResult.__dataclass_fields__))
    query = query.where(MONITOR_RESULTS.c.day.between(first, last)).order_by(
        MONITOR_RESULTS.c.day, MONITOR_RESULTS.c.number
    )
    if monitor:
        query = query.where(MONITOR_RESULTS.c.monitor == monitor)
    with log.connect() as connection:
        return [MonitorResult(**row) for row in connection.execute(query).mappings()]


def newest_monitor_results(log: sa.Engine) -> list[MonitorResult]:
    """Of each monitor, what it said of the last day that it looked at."""
    newest = sa.select(MONITOR_RESULTS.c.monitor, sa.func.max(MONITOR_RESULTS.c.day)).group_by(
        MONITOR_RESULTS.c.monitor
    )
    with log.connect() as connection:
        days = connection.execute(newest).all()
    return [found for monitor, day in days for found in monitor_results(log, day, day, monitor=monitor)]


def alerts(log: sa.Engine, day: str | None = None) -> list[Alert]:
    """What people were told, or will be, of a day; without one, of all."""
    query = sa.select(*(ALERTS.c[name] for name in Alert.__dataclass_fields__)).order_by(ALERTS.c.day, ALERTS.c.number)
    if day:
        query = query.where(ALERTS.c.day == day)
    with log.connect() as connection:
        return [Alert(**row) for row in connection.execute(query).mappings()]


def undelivered(log: sa.Engine) -> int:
    """How many alerts the sink has not."""
    count = sa.select(sa.func.count()).select_from(ALERTS).where(ALERTS.c.delivered == 0)
    with log.connect() as connection:
        return int(connection.execute(count).scalar_one())


def _plain(found: MonitorResult) -> MonitorResult:
    """The finding with Python's own numbers: databases and JSON know no others."""
    value, threshold = (None if number is None else float(number) for number in (found.value, found.threshold))
    return MonitorResult(
        found.day, found.monitor, found.target, found.state, found.message, int(found.rows), value, threshold
    )


def _dump(found: Iterable[MonitorResult]) -> str:
    return json.dumps([asdict(_plain(one)) for one in found])


def load(text: str) -> tuple[MonitorResult, ...]:
    """Findings as they stand in DECISIONS."""
    return tuple(MonitorResult(**one) for one in json.loads(text))
