"""The outbox: each alert reaches people exactly once. It is stored first, then sent to a sink, then marked delivered.

A process killed between sending and marking sends the alert again, under the same key; a file or a webhook recognises
the key and drops the repetition. (Apprise, which Prefect installs, sends to 100 services, but passes no such key and
returns no reason for a failure.)
"""

import json
import logging
import os
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import httpx
import sqlalchemy as sa
from filelock import FileLock

from level4_deployment.prediction_log import insert
from level5_monitoring import config
from level5_monitoring.loop.alerts import Alert
from level5_monitoring.tables import ALERTS, INSTANCE_ID
from shared.console import console
from shared.errors import UserError, show_address
from shared.settings import Settings

LINE_START = b'{"key": "'  # of an alert in a file
ATTEMPTS, TIMEOUT, PAUSE = 3, 2.0, 0.1  # of a webhook: attempts, seconds of each, seconds before the next (doubled)
TRANSIENT = (408, 409, 425, 429)  # statuses below 500 that are tried again
WAITING, DELIVERED, REFUSED = 0, 1, 2  # values of the column `delivered`
COLUMNS = [ALERTS.c[field.name] for field in fields(Alert)]


class SinkError(UserError):
    """The sink refuses an alert for good."""


class UnreachableError(SinkError):
    """The sink accepts no alert at all at present."""


class Sink(Protocol):
    """Where alerts are sent."""

    def send(self, alert: Alert) -> None:
        """Accept an alert; raises SinkError."""


@dataclass(frozen=True)
class ConsoleSink:
    """The terminal. It does not know what it has shown: after a kill an alert may be shown twice, but is never lost."""

    def send(self, alert: Alert) -> None:
        """Print a line."""
        try:
            console.print(f"[{alert.severity}] {alert.day} {alert.title}: {alert.text}")
        except OSError as error:
            raise UnreachableError(f"the terminal accepts no alert: {error}") from error


@dataclass(frozen=True)
class FileSink:
    """A file of JSON lines; a line that a killed process left incomplete is removed."""

    path: Path

    def send(self, alert: Alert) -> None:
        """Append the alert, if its key is not there."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{self.path}.lock"), self.path.open("a+b") as file:
                file.seek(0)
                *lines, torn = file.read().split(b"\n")
                known = _keys(lines, torn)
                if torn:
                    file.truncate(file.tell() - len(torn))
                if alert.key not in known:
                    file.write(json.dumps(asdict(alert)).encode() + b"\n")
                    file.flush()
                    os.fsync(file.fileno())
        except (OSError, ValueError, KeyError) as error:
            remedy = f"Remedy: move {self.path} away; the alerts that wait then go to a new file."
            raise UnreachableError(f"alerts cannot be written to {self.path}: {error}. {remedy}") from error


def _keys(lines: list[bytes], torn: bytes) -> set[str]:
    """The keys of the alerts in a file; raises ValueError or KeyError for a file with other content."""
    if torn[: len(LINE_START)] != LINE_START[: len(torn)]:
        raise ValueError(f"its last line is not an alert: {torn[:40]!r}")
    if (wrong := next((line for line in lines if not line.startswith(LINE_START)), None)) is not None:
        raise ValueError(f"a line is not an alert: {wrong[:40]!r}")
    return {json.loads(line)["key"] for line in lines}


@dataclass(frozen=True)
class WebhookSink:
    """An address, which may hold a secret, that accepts JSON by POST and knows an alert by its Idempotency-Key."""

    url: str = field(repr=False)
    http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=TIMEOUT))

    def __post_init__(self) -> None:
        """Keep the address out of httpx's log."""
        logging.getLogger("httpx").setLevel(logging.WARNING)

    def send(self, alert: Alert) -> None:
        """Try ATTEMPTS times, except where the address refuses the alert for good (4xx)."""
        reason, shown = "", show_address(self.url)
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(PAUSE * 2 ** (attempt - 1))
            try:
                headers = {"Idempotency-Key": alert.key}
                with self.http.stream("POST", self.url, json=asdict(alert), headers=headers) as answer:
                    status = answer.status_code
            except httpx.HTTPError as error:
                reason = f"{type(error).__name__} {error}"
                continue
            if status < 300:
                return
            reason = f"status {status}"
            if status < 500 and status not in TRANSIENT:
                raise SinkError(f"{shown} refuses the alert {alert.key}: {reason}")
        raise UnreachableError(f"{shown} accepted no alert in {ATTEMPTS} attempts: {reason}")


def sink_of(settings: Settings) -> Sink:
    """The sink that ALERTS names: console, http(s)://…, or a file; by default alerts.jsonl in the level's state."""
    wish = os.environ.get("ALERTS") or str(config.own(settings) / "alerts.jsonl")
    if wish == "console":
        return ConsoleSink()
    if "://" not in wish:
        return FileSink(Path(wish).resolve())
    try:
        url = httpx.URL(wish)
    except httpx.InvalidURL:  # whose text may hold the password
        raise UserError(f"ALERTS={show_address(wish)!r} is not an address. Remedy: http://host:port/path") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise UserError(
            f"ALERTS={show_address(wish)!r}: Remedy: console, the path of a file, or http://host:port/path."
        )
    return WebhookSink(wish)


def put(log: sa.Engine, connection: sa.Connection, alerts: Iterable[Alert], first: int = 0) -> None:
    """Add alerts within a transaction, numbered from `first` on; one whose key is there stays as it is."""
    if rows := [asdict(alert) | {"number": i, "delivered": WAITING} for i, alert in enumerate(alerts, first)]:
        connection.execute(insert(log, ALERTS), rows)


def deliver(log: sa.Engine, sink: Sink) -> None:
    """Send waiting alerts, oldest first. A failing sink stops nothing: the rest waits for the next delivery.

    An alert that the sink refuses for good is marked so, with the reason, and not sent again.
    """
    log_name = instance_id(log)
    for alert in _alerts(log, ALERTS.c.delivered == WAITING):
        try:
            sink.send(replace(alert, key=f"{log_name}-{alert.key}"))
        except UnreachableError as error:
            _update(log, alert, error=str(error))
            break
        except SinkError as error:
            _update(log, alert, delivered=REFUSED, error=str(error))
        else:
            _update(log, alert, delivered=DELIVERED, error=None)


def _update(log: sa.Engine, alert: Alert, **values: object) -> None:
    with log.begin() as connection:
        connection.execute(ALERTS.update().where(ALERTS.c.key == alert.key).values(values))


def instance_id(log: sa.Engine) -> str:
    """A name of this log alone: another log may have the same days, and so the same keys of alerts."""
    with log.begin() as connection:
        connection.execute(insert(log, INSTANCE_ID), {"number": 1, "name": uuid4().hex[:12]})
        return str(connection.execute(sa.select(INSTANCE_ID.c.name)).scalar_one())


def alerts(log: sa.Engine, day: str | None = None) -> list[Alert]:
    """The alerts of a day, delivered or not; without a day, all."""
    return _alerts(log, ALERTS.c.day == day if day else sa.true())


def _alerts(log: sa.Engine, which: sa.ColumnElement[bool]) -> list[Alert]:
    query = sa.select(*COLUMNS).where(which).order_by(ALERTS.c.day, ALERTS.c.number)
    with log.connect() as connection:
        return [Alert(**row) for row in connection.execute(query).mappings()]


def undelivered(log: sa.Engine) -> int:
    """How many alerts the sink has not accepted: those that wait, and those that it refuses."""
    return len(_alerts(log, ALERTS.c.delivered != DELIVERED))
