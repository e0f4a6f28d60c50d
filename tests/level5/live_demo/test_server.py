"""The live page follows the year; its controls work clock and faults, and no other page can."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pandas as pd
import pytest

from level4_deployment.control.server import api_server
from level5_monitoring.dashboard.data import Year
from level5_monitoring.live_demo import server
from level5_monitoring.live_demo.clock import Clock
from level5_monitoring.live_demo.doorway import LOADING, Doorway
from level5_monitoring.live_demo.server import LivePage, create_app
from level5_monitoring.live_year.fault_injection import FAULTS
from level5_monitoring.loop.alerts import Alert
from level5_monitoring.loop.loop_store import record_decision
from level5_monitoring.loop.policy import Decision
from level5_monitoring.tables import open_log
from shared.data.replay import Tick
from shared.processes.children import Process, running
from tests.factories import monitor_result
from tests.level5.browser import opened
from tests.level5.live_demo.playing import FAST, exactly, played
from tests.level5.three_weeks import fill, write_calendar
from tests.support import eventually


@pytest.fixture
def live(tmp_path: Path) -> Iterator[LivePage]:
    """A page over an empty log, whose clock is paused."""
    with open_log(f"sqlite:///{tmp_path / 'log.db'}") as log:
        yield LivePage(log, tmp_path, Clock(tmp_path, paused=True), "live")


@contextmanager
def served(live: LivePage) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listening, live.drawing(), api_server(create_app(live), listening):
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.fixture
def http(live: LivePage) -> Iterator[httpx.Client]:
    with served(live) as address, httpx.Client(base_url=address) as client:
        yield client


OWN = "the page's own address"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"origin": OWN}, 200),
        ({"origin": "http://127.0.0.1:9000"}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"host": "evil.example"}, 403),
        ({"host": "evil.example:8000", "origin": "http://evil.example:8000"}, 403),
        ({"content-type": "text/plain"}, 422),
        ({"content-type": "application/x-www-form-urlencoded"}, 422),
    ],
)
def test_only_the_page_itself_may_work_the_clock(
    live: LivePage, http: httpx.Client, headers: dict[str, str], status: int
) -> None:
    sent = {"content-type": "application/json"} | headers
    if headers.get("origin") == OWN:
        sent["origin"] = str(http.base_url).rstrip("/")
    assert http.post("/clock", content='{"action": "resume"}', headers=sent).status_code == status
    assert live.clock.paused == (status != 200)


def test_a_foreign_name_may_not_even_read(http: httpx.Client) -> None:
    assert http.get("/state", headers={"host": "evil.example"}).status_code == 403
    assert "frame-ancestors 'none'" in http.get("/").headers["content-security-policy"]


def test_a_refusal_has_its_reason(http: httpx.Client) -> None:
    answer = http.post("/faults", json={"fault": "rain of frogs", "size": 1})
    assert (answer.status_code, "celsius" in answer.json()["detail"]) == (409, True)


@pytest.mark.parametrize("value", ["NaN", r'"\ud800"', "9" * 25, "1e999", r'"\u0000"'])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/clock", '{"action": VALUE}'),
        ("/speed", '{"speed": VALUE}'),
        ("/faults", '{"fault": VALUE, "size": 1}'),
        ("/faults", '{"fault": "celsius", "size": VALUE}'),
        ("/faults/remove", '{"fault": VALUE}'),
        ("/faults/remove", '{"x": VALUE}'),
    ],
)
def test_what_is_no_value_is_refused(live: LivePage, http: httpx.Client, path: str, body: str, value: str) -> None:
    sent = body.replace("VALUE", value)
    answer = http.post(path, content=sent, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 409, 422), answer.text
    assert live.clock.paused


@pytest.mark.slow
def test_no_request_that_follows_or_breaks_the_schema_gets_a_5xx(live: LivePage, tmp_path: Path) -> None:
    schema = tmp_path / "openapi.json"
    schema.write_text(json.dumps(create_app(live).openapi()))
    with served(live) as address:
        command = [
            *(sys.executable, "-m", "schemathesis.cli", "run", str(schema), "--url", address),
            *("--checks", "not_a_server_error", "--max-examples", "40", "--seed", "2013"),
            *("--phases", "examples,coverage,fuzzing"),
        ]
        plain = {**os.environ, "NO_COLOR": "1"}
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=plain, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


def test_metrics_are_served_in_prometheus_format(live: LivePage, http: httpx.Client) -> None:
    drift(live, "2013-04-07")
    answer = http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'monitor_alarm{monitor="drift",target="temp"} 1.0' in answer.text


def drift(live: LivePage, day: str) -> None:
    """Record the end of a week in which a column drifts, with an alert."""
    result = monitor_result("drift", day=day)
    alert = Alert(f"{day}-drift", day, "ticket", "drift alarm begins", "temp drifts", "alarm_begins", "drift")
    record_decision(live.log, Decision(day, "notify", "drift", (result,), "drift"), [result], [alert])


@pytest.mark.slow
@pytest.mark.parametrize("width", [360, 1280])
def test_the_controls_work_by_keyboard(live: LivePage, hours: list[Tick], width: int) -> None:
    """Step a day, inject a fault and remove it with Tab and Enter alone; a screen reader reads the status."""
    live.clock.set_speed(FAST)
    with played(live.clock, hours) as seen, served(live) as address, opened(address, width) as shown:
        shown.locator("#status", has_text="paused").wait_for()
        assert shown.evaluate("document.documentElement.scrollWidth") <= width
        shown.focus("#go")
        shown.keyboard.press("Tab")
        shown.keyboard.press("Enter")
        exactly(seen, 24)
        shown.locator("#status", has_text="Wed 3 Apr").wait_for()
        for _ in range(4):
            shown.keyboard.press("Tab")
        assert shown.evaluate("document.activeElement.id") == "inject"
        shown.keyboard.press("Enter")
        remove = shown.get_by_role("button", name=f"Remove: {next(iter(FAULTS.values())).what}")
        remove.wait_for()
        assert [one.fault for one in live.clock.active] == [next(iter(FAULTS))]
        shown.keyboard.press("Enter")
        remove.wait_for(state="detached")
        assert live.clock.active == []


@pytest.mark.slow
def test_the_page_follows_the_year_and_keeps_what_one_is_reading(live: LivePage) -> None:
    """What is open, chosen, focused and scrolled to stays so: a cell, a fault, a table, an event."""
    sundays = [str(day.date()) for day in pd.date_range("2013-04-07", periods=12, freq="7D")]
    for day in sundays[:8]:
        drift(live, day)
    with served(live) as address, opened(address, 360) as shown:

        def next_week() -> None:
            day = sundays[shown.locator("#drift-figures thead th").count() - 1]
            drift(live, day)
            heading = f"{pd.Timestamp(day):%a} {pd.Timestamp(day).day} {pd.Timestamp(day):%b}"
            shown.locator("#drift-figures thead th", has_text=heading).wait_for(state="attached")

        cell = f"#drift-temp-{sundays[0]}"
        shown.click(cell)
        shown.select_option("#fault", label="labels are inverted")
        next_week()
        assert shown.locator("#cell", has_text="week to Sun 7 Apr").is_visible()
        assert shown.get_attribute(cell, "aria-current") == "true"
        assert shown.input_value("#fault") == "labels flipped"
        shown.click("#close")
        assert shown.evaluate("document.activeElement.id") == cell[1:]
        shown.keyboard.press("ArrowRight")
        assert shown.evaluate("document.activeElement.id") == f"drift-temp-{sundays[1]}"
        shown.click("#drift-figures summary")
        next_week()
        assert shown.evaluate("document.getElementById('drift-figures').open")
        assert shown.evaluate("document.activeElement.closest('details').id") == "drift-figures"
        shown.keyboard.press("Tab")
        shown.evaluate("document.activeElement.scrollLeft = 90")
        next_week()
        assert shown.evaluate("[document.activeElement.id, document.activeElement.scrollLeft]") == ["drift-by-week", 90]
        reading = shown.locator(".events summary", has_text="9 Apr")
        reading.click()
        before = reading.bounding_box()["y"]
        next_week()
        assert reading.bounding_box()["y"] == pytest.approx(before, abs=1)


@pytest.mark.slow
def test_the_page_shows_refusals_failures_and_the_current_speed(live: LivePage) -> None:
    with ExitStack() as server:
        address = server.enter_context(served(live))
        with opened(address) as shown:
            shown.locator("#status", has_text="the year begins").wait_for()
            shown.click("#inject")
            shown.locator("#refused", has_text="has not begun").wait_for()
            live.clock.set_speed(FAST)  # by another window
            shown.wait_for_function("speed => document.getElementById('speed').value === speed", arg=FAST)
            assert "has not begun" in shown.inner_text("#refused")
            shown.click("#go")
            shown.locator("#go", has_text="Pause").wait_for()
            assert not shown.inner_text("#refused")
            server.close()
            shown.click("#go")
            shown.locator("#refused", has_text="Not done").wait_for()


def test_the_calendar_policies_are_drawn_once_they_are_there(live: LivePage) -> None:
    """Also for days that were read before, because the stamp changes."""
    fill(live.log)
    live.draw()
    assert 'class="weekly"' not in live.year()
    write_calendar(live.home)
    live.draw()
    assert all(f'class="{name}" d="M' in live.year() for name in ("loop", "weekly", "frozen"))


def test_the_year_is_drawn_again_only_when_its_stamp_changes(live: LivePage, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Year] = []
    monkeypatch.setattr("level5_monitoring.dashboard.page.render_year", drawn.append)
    for _ in range(2):
        live.draw()
    assert len(drawn) == 1
    drift(live, "2013-04-07")
    live.draw()
    assert len(drawn) == 2


def test_no_request_waits_for_the_year_to_be_read(live: LivePage, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it is read for the first time, the page has no weeks; an error while it is read is shown as the stage."""
    reading = threading.Event()

    def read(*_: object) -> Year:
        reading.wait(20)
        raise OSError("the disk is full")

    monkeypatch.setattr(server, "read_year", read)
    with served(live) as address, httpx.Client(base_url=address) as http:
        for path in ("/", "/year", "/state"):
            begun = time.monotonic()
            assert http.get(path).status_code == 200
            assert time.monotonic() - begun < server.FIRST_WITHIN + 2
        reading.set()
        eventually(lambda: "the disk is full" in http.get("/state").json()["stage"], within=20)


def test_a_drawing_that_waits_for_the_processor_is_followed_by_the_next_one_at_once(
    live: LivePage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As while models are trained: the page is not to fall behind the clock."""
    begun: list[float] = []

    def draw() -> None:
        begun.append(time.monotonic())
        time.sleep(1)

    monkeypatch.setattr(live, "draw", draw)
    with live.drawing():
        eventually(lambda: len(begun) == 2, within=20)
    assert begun[1] - begun[0] < 4


def test_another_tools_page_starts_when_it_is_opened(live: LivePage, tmp_path: Path) -> None:
    with ExitStack() as started, served(live) as address, httpx.Client(base_url=address) as http:

        def start(port: int) -> Process:
            words = ["http.server", str(port), "--directory", str(tmp_path)]
            return started.enter_context(running(words, tmp_path / "log"))

        live.pages.offer("MLflow", start, "/made.txt")
        (tmp_path / "made.txt").write_text("it runs")
        refused = http.get("/pages/Grafana")
        assert (refused.status_code, "one of MLflow" in refused.json()["detail"]) == (404, True)
        first = http.get("/pages/MLflow")
        assert (first.status_code, first.headers["refresh"]) == (200, "1")
        assert "MLflow is starting" in first.text
        assert live.state()["activity"]["what"] == "starting MLflow"
        there = eventually(lambda: http.get("/pages/MLflow").headers.get("location"), within=20)
        assert httpx.get(there).text == "it runs"
        deep, bad = (
            http.get("/pages/MLflow", params={"at": at}).headers["location"] for at in ("/#/x", "@evil.example")
        )
        assert (deep, bad) == (there.replace("/made.txt", "/#/x"), there)
        assert live.state()["activity"] is None
        for unknown in ("/never.txt", "/a b", "/ü"):
            assert http.get("/pages/MLflow", params={"at": unknown}).headers["location"] == there
        broken = started.enter_context(running(["no_such_module"], tmp_path / "log"))
        eventually(broken.poll, within=20)
        live.pages.all["MLflow"].maker = lambda: broken
        refused = http.get("/pages/MLflow", params={"at": "/never.txt"})
        assert (refused.status_code, "reports.log" in refused.json()["detail"]) == (409, True)


def test_a_tool_that_ends_is_named_once_and_started_again_by_the_next_click(live: LivePage, tmp_path: Path) -> None:
    with ExitStack() as started, served(live) as address, httpx.Client(base_url=address) as http:
        live.pages.offer("MLflow", lambda _port: started.enter_context(running(["no_such_module"], tmp_path / "log")))
        assert "MLflow is starting" in http.get("/pages/MLflow").text
        eventually(lambda: live.pages.all["MLflow"].ended, within=20)
        failed = http.get("/pages/MLflow")
        assert (failed.status_code, "refresh" in failed.headers) == (409, False)
        assert "mlflow-pages.log" in failed.json()["detail"]
        assert "MLflow is starting" in http.get("/pages/MLflow").text


def test_the_address_answers_before_the_libraries_are_loaded(live: LivePage) -> None:
    doorway = Doorway()
    with ExitStack() as opened:
        listening = opened.enter_context(socket.create_server(("127.0.0.1", 0)))
        opened.enter_context(api_server(doorway, listening))
        http = opened.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{listening.getsockname()[1]}"))
        assert "loading the libraries" in http.get("/").text
        assert http.get("/", headers={"host": "evil.example"}).status_code == 403
        assert http.get("/state").json()["activity"]["what"] == LOADING
        doorway.behind = create_app(live)
        assert http.get("/state").json()["activity"] is None
