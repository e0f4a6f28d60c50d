"""Alerts on their way to people, exactly once: on record first, then to a sink that knows what it has, then marked.

Killed between sink and mark, an alert is sent again, under the same key: file and webhook know the key and drop it.
"""

import json
import os
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Protocol

import httpx
import sqlalchemy as sa
from filelock import FileLock

from level5_monitoring import config
from level5_monitoring.loop import loop_store
from level5_monitoring.loop.alerts import Alert
from level5_monitoring.loop.loop_store import ALERTS
from shared.console import console
from shared.errors import UserError
from shared.settings import Settings

BEGINS = b'{"key": "'  # an alert's line
ATTEMPTS, SECONDS, PAUSE = 3, 2.0, 0.1  # of a webhook: tries, time limit of each, wait before the next (doubled)


class SinkError(UserError):
    """The sink did not take an alert."""


class UnreachableError(SinkError):
    """The sink takes no alert at all now."""


class Sink(Protocol):
    """Where alerts go."""

    def send(self, alert: Alert) -> None:
        """Take an alert; raises SinkError."""


@dataclass(frozen=True)
class ConsoleSink:
    """The terminal. It cannot know what it has shown: killed before the mark, an alert is shown again, never lost."""

    def send(self, alert: Alert) -> None:
        """A line."""
        try:
            console.print(f"[{alert.severity}] {alert.day} {alert.title}: {alert.text}", markup=False)
        except OSError as error:
            raise UnreachableError(f"the terminal takes no alert: {error}") from error


@dataclass(frozen=True)
class FileSink:
    """A file of JSON lines; what a killed writer left of a line is cut off."""

    path: Path

    def send(self, alert: Alert) -> None:
        """Append the alert, if its key is not there."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{self.path}.lock"), self.path.open("a+b") as file:
                file.seek(0)
                *whole, torn = file.read().split(b"\n")
                known = _keys(whole, torn)
                if torn:
                    file.truncate(file.tell() - len(torn))
                if alert.key not in known:
                    file.write(json.dumps(asdict(alert)).encode() + b"\n")
                    file.flush()
                    os.fsync(file.fileno())
        except (OSError, ValueError, KeyError) as error:
            raise UnreachableError(f"alerts cannot be written to {self.path}: {error}") from error


def _keys(lines: list[bytes], torn: bytes) -> set[str]:
    """The keys of a file's alerts; raises ValueError or KeyError for a file of something else."""
    if torn[: len(BEGINS)] != BEGINS[: len(torn)]:
        raise ValueError(f"its last line is no alert: {torn[:40]!r}")
    if (wrong := next((line for line in lines if not line.startswith(BEGINS)), None)) is not None:
        raise ValueError(f"a line is no alert: {wrong[:40]!r}")
    return {json.loads(line)["key"] for line in lines}


@dataclass(frozen=True)
class WebhookSink:
    """An address that takes JSON by POST, and knows an alert again by its Idempotency-Key."""

    url: str
    http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=SECONDS, trust_env=False))

    def send(self, alert: Alert) -> None:
        """Try ATTEMPTS times; what the address refuses for good (4xx) is not tried again at once."""
        trouble = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(PAUSE * 2 ** (attempt - 1))
            try:
                headers = {"Idempotency-Key": alert.key}
                with self.http.stream("POST", self.url, json=asdict(alert), headers=headers) as answer:
                    status = answer.status_code
            except httpx.HTTPError as error:
                trouble = f"{type(error).__name__} {error}"
                continue
            if status < 300:
                return
            trouble = f"status {status}"
            if status < 500 and status not in (408, 409, 425, 429):
                raise SinkError(f"{self.url} refuses the alert {alert.key}: {trouble}")
        raise UnreachableError(f"{self.url} took no alert in {ATTEMPTS} tries: {trouble}")


@dataclass(frozen=True)
class Delivered:
    """sent: alerts that the sink took now. waiting: those that it did not. trouble: why, in its words, or ""."""

    sent: int
    waiting: int
    trouble: str


def sink_of(settings: Settings) -> Sink:
    """The sink that ALERTS names: console, http(s)://…, or a file; by default alerts.jsonl in the level's state."""
    wish = os.environ.get("ALERTS") or str(config.own(settings) / "alerts.jsonl")
    if wish == "console":
        return ConsoleSink()
    if "://" not in wish:
        return FileSink(Path(wish).resolve())
    try:
        url = httpx.URL(wish)
    except httpx.InvalidURL as error:
        raise UserError(f"ALERTS={wish!r} is no address: {error}. Remedy: http://host:port/path") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise UserError(f"ALERTS={wish!r}: Remedy: console, the path of a file, or http://host:port/path.")
    return WebhookSink(wish)


def deliver(log: sa.Engine, sink: Sink) -> Delivered:
    """Send what waits, oldest first. A sink in trouble stops nothing: what it did not take waits for the next turn."""
    query = sa.select(ALERTS).where(ALERTS.c.delivered == 0).order_by(ALERTS.c.day, ALERTS.c.number)
    with log.connect() as connection:
        waiting = connection.execute(query).mappings().all()
    sent, trouble, name = 0, "", loop_store.instance_id(log)
    for row in waiting:
        alert = Alert(**{name: row[name] for name in Alert.__dataclass_fields__})
        try:
            sink.send(replace(alert, key=f"{name}-{alert.key}"))
        except SinkError as error:
            trouble = str(error)
            _note(log, alert.key, trouble)
            if isinstance(error, UnreachableError):
                break
        else:
            sent += 1
            _mark(log, alert.key)
    with log.connect() as connection:
        left = connection.execute(sa.select(sa.func.count()).where(ALERTS.c.delivered == 0)).scalar_one()
    return Delivered(sent, left, trouble)


def _mark(log: sa.Engine, key: str) -> None:
    """Mark an alert delivered."""
    with log.begin() as connection:
        connection.execute(ALERTS.update().where(ALERTS.c.key == key).values(delivered=1, error=None))


def _note(log: sa.Engine, key: str, error: str) -> None:
    with log.begin() as connection:
        connection.execute(ALERTS.update().where(ALERTS.c.key == key).values(error=error))
