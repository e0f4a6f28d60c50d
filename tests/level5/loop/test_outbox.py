"""Each alert arrives once, wherever a process is killed, and whatever the sink does."""

import base64
import json
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import sqlalchemy as sa

from level5_monitoring.loop import loop_store
from level5_monitoring.loop.alerts import Alert
from level5_monitoring.loop.outbox import (
    ATTEMPTS,
    REFUSED,
    ConsoleSink,
    FileSink,
    Sink,
    WebhookSink,
    deliver,
    sink_of,
    undelivered,
)
from level5_monitoring.loop.policy import Decision
from level5_monitoring.tables import ALERTS, open_log
from shared.errors import UserError
from shared.settings import Settings
from tests.support import environment

KEYS = [f"2013-05-06-{i}" for i in range(6)]


def fill(log: sa.Engine) -> sa.Engine:
    alerts = [
        Alert(key, "2013-05-06", "page", "contract alarm begins", "temp", "alarm_begins", "contract") for key in KEYS
    ]
    loop_store.record_decision(log, Decision("2013-05-06", "stop_experiment", "."), [], alerts)
    return log


@pytest.fixture
def waiting(log: sa.Engine) -> sa.Engine:
    return fill(log)


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[sa.Engine]:
    with open_log(f"sqlite:///{tmp_path / 'log.db'}") as log:
        yield fill(log)


@dataclass
class Hook:
    """A server that knows alerts by their key; `answers` come first, in turn, and take nothing."""

    answers: list[int] = field(default_factory=list)
    requests: int = 0
    alerts: dict[str, dict[str, str]] = field(default_factory=dict)
    url: str = ""
    authorizations: set[str] = field(default_factory=set)


@pytest.fixture
def hook() -> Iterator[Hook]:
    here, lock = Hook(), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            with lock:
                here.requests += 1
                here.authorizations |= {self.headers["Authorization"] or ""}
                status = here.answers.pop(0) if here.answers else 204
                if status == 204:
                    here.alerts.setdefault(self.headers["Idempotency-Key"], body)
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing on the screen."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        here.url = f"http://127.0.0.1:{server.server_address[1]}/alerts"
        yield here
        server.shutdown()


class CutOff(BaseException):
    """The process is gone."""


@dataclass
class Killed:
    """A sink whose process is killed at its n-th alert, before or after it is taken."""

    inner: Sink
    at: int
    taken: bool

    def send(self, alert: Alert) -> None:
        last = short([alert.key]) == [KEYS[self.at]]
        if self.taken or not last:
            self.inner.send(alert)
        if last:
            raise CutOff


@dataclass
class Together:
    """A sink that sends an alert when another loop is about to send it too."""

    inner: Sink
    other: threading.Barrier

    def send(self, alert: Alert) -> None:
        self.other.wait(timeout=30)
        self.inner.send(alert)


def keys_in(path: Path) -> list[str]:
    return short(json.loads(line)["key"] for line in path.read_text().splitlines())


def short(keys: Iterable[str]) -> list[str]:
    """The keys without the name of their log."""
    return [key.partition("-")[2] for key in keys]


@dataclass
class Delivery:
    """What a delivery did: how many alerts the sink took, how many still wait, and the reason of the last failure."""

    sent: int
    waiting: int
    error: str


def delivery(log: sa.Engine, sink: Sink) -> Delivery:
    before = undelivered(log)
    deliver(log, sink)
    with log.connect() as connection:
        errors = connection.execute(sa.select(ALERTS.c.error).where(ALERTS.c.error.is_not(None))).scalars().all()
    return Delivery(before - undelivered(log), undelivered(log), errors[-1] if errors else "")


@pytest.fixture(params=["file", "webhook"])
def sink(request: pytest.FixtureRequest, tmp_path: Path, hook: Hook) -> Sink:
    return FileSink(tmp_path / "alerts.jsonl") if request.param == "file" else WebhookSink(hook.url)


def taken_by(sink: Sink, hook: Hook) -> list[str]:
    return keys_in(sink.path) if isinstance(sink, FileSink) else short(hook.alerts)


@pytest.mark.parametrize("taken", [False, True])
def test_a_loop_that_is_killed_on_the_way_neither_loses_nor_doubles(
    waiting: sa.Engine, sink: Sink, hook: Hook, taken: bool
) -> None:
    with pytest.raises(CutOff):
        deliver(waiting, Killed(sink, 3, taken))
    last = delivery(waiting, sink)
    assert (last.sent, last.waiting) == (3, 0)
    assert taken_by(sink, hook) == KEYS
    assert hook.requests in (0, 6 + taken)
    assert delivery(waiting, sink).sent == 0


def test_two_loops_at_once_do_not_double(waiting: sa.Engine, sink: Sink, hook: Hook) -> None:
    both = Together(sink, threading.Barrier(2))
    with open_log(str(waiting.url)) as other, ThreadPoolExecutor(2) as loops:
        list(loops.map(deliver, (waiting, other), (both, both)))
    assert taken_by(sink, hook) == KEYS


def test_a_line_that_a_killed_writer_left_is_cut_off(sqlite: sa.Engine, tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    path.write_text('{"key": "2013-05-06-0", "da')
    assert delivery(sqlite, FileSink(path)).sent == 6
    assert keys_in(path) == KEYS


def test_a_file_with_other_content_or_a_folder_in_its_place_is_left_as_it_is(sqlite: sa.Engine, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    for notes in (b"milk, bread", b"milk\nbread\n", b"[1]\n", b"42\n", b'{"key": ["a"]}\n', b"\n", b"\x80\x04\xff\n"):
        path.write_bytes(notes)
        tried = delivery(sqlite, FileSink(path))
        assert (tried.waiting, f"Remedy: move {path} away" in tried.error) == (6, True)
        assert path.read_bytes() == notes
    failed = delivery(sqlite, FileSink(tmp_path))
    assert (failed.sent, failed.waiting, str(tmp_path) in failed.error) == (0, 6, True)


def test_the_same_days_of_another_log_are_other_alerts(tmp_path: Path, hook: Hook) -> None:
    """The year is replayed twice, and each time the alerts are sent."""
    for number in (1, 2):
        with open_log(f"sqlite:///{tmp_path / f'{number}.db'}") as log:
            assert delivery(fill(log), WebhookSink(hook.url)).sent == 6
    assert short(hook.alerts) == KEYS * 2


def test_a_webhook_elsewhere_is_reached_by_the_users_proxy(sqlite: sa.Engine, hook: Hook) -> None:
    with environment(HTTP_PROXY=hook.url, http_proxy=hook.url):
        assert delivery(sqlite, WebhookSink("http://alerts.example.org/")).sent == 6
    assert short(hook.alerts) == KEYS


@pytest.mark.parametrize("status", [408, 429, 503])
def test_a_sink_that_fails_loses_nothing_and_reports_why(sqlite: sa.Engine, hook: Hook, status: int) -> None:
    hook.answers = [status] * ATTEMPTS
    failed = delivery(sqlite, WebhookSink(hook.url))
    assert (failed.sent, failed.waiting, hook.requests) == (0, 6, ATTEMPTS)
    assert str(status) in failed.error
    assert delivery(sqlite, WebhookSink("http://127.0.0.1:9/")).waiting == 6
    hook.answers = [status] * (ATTEMPTS - 1)
    assert delivery(sqlite, WebhookSink(hook.url)).sent == 6
    assert short(hook.alerts) == KEYS
    assert {alert["severity"] for alert in hook.alerts.values()} == {"page"}


def test_one_alert_refused_for_good_does_not_keep_the_others_and_is_not_sent_again(
    sqlite: sa.Engine, hook: Hook
) -> None:
    hook.answers = [422]
    first = delivery(sqlite, WebhookSink(hook.url))
    assert (first.sent, undelivered(sqlite), hook.requests) == (5, 1, 6)
    with sqlite.connect() as connection:
        query = sa.select(ALERTS.c.error).where(ALERTS.c.delivered == REFUSED)
        assert "422" in str(connection.execute(query).scalar_one())
    assert delivery(sqlite, WebhookSink(hook.url)).sent == 0
    assert (undelivered(sqlite), hook.requests) == (1, 6), "it counts, and is shown, as not delivered"


def test_after_a_kill_the_terminal_may_repeat_an_alert_but_loses_none(
    waiting: sa.Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    """A terminal cannot report what it has shown. A later delivery shows nothing."""
    with pytest.raises(CutOff):
        deliver(waiting, Killed(ConsoleSink(), 1, taken=True))
    assert [delivery(waiting, ConsoleSink()).sent for _ in range(2)] == [5, 0]
    assert capsys.readouterr().out.count("[page] 2013-05-06 contract alarm begins: temp") == 2 + 5


def test_the_setting_names_the_sink(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(sink_of(settings), FileSink)
    for wish, kind in (("console", ConsoleSink), ("alerts.jsonl", FileSink), ("http://127.0.0.1:1/x", WebhookSink)):
        monkeypatch.setenv("ALERTS", wish)
        assert isinstance(sink_of(settings), kind)
    for wish in ("ftp://127.0.0.1/x", "http://"):
        monkeypatch.setenv("ALERTS", wish)
        with pytest.raises(UserError, match="Remedy"):
            sink_of(settings)


def test_a_webhook_gets_its_password_and_nobody_else_does(
    sqlite: sa.Engine, hook: Hook, settings: Settings, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not in the log of httpx, not in the error on record."""
    caplog.set_level("DEBUG", "httpcore")
    caplog.set_level("INFO")
    secret = hook.url.replace("//", "//me:s3cr%40t@") + "?token=s3cr"
    hook.answers = [422]
    failed = delivery(sqlite, WebhookSink(secret))
    assert failed.sent == 5
    assert hook.authorizations == {"Basic " + base64.b64encode(b"me:s3cr@t").decode()}
    shown = [str(WebhookSink(secret)), *(record.getMessage() for record in caplog.records)]
    with sqlite.connect() as connection:
        shown += [str(error) for error in connection.execute(sa.select(ALERTS.c.error)).scalars()]
    monkeypatch.setenv("ALERTS", "ftp://me:s3cr@127.0.0.1/x")
    with pytest.raises(UserError) as error:
        sink_of(settings)
    assert not [text for text in [*shown, str(error.value)] if "s3cr" in text]
