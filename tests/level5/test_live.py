"""The live page follows the year, its clock and faults can be worked from it, and only from it."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pandas as pd
import psutil
import pytest
import uvicorn

from level4_deployment import serve
from level4_deployment.log import open_log
from level5_monitoring import performance
from level5_monitoring.clock import Clock
from level5_monitoring.events import FAULTS_FILE
from level5_monitoring.faults import FAULTS
from level5_monitoring.finding import Finding
from level5_monitoring.live import Live, create_app
from level5_monitoring.policy import Decision
from level5_monitoring.record import record
from level5_monitoring.running import DEMO, Record, end
from shared.errors import UserError
from shared.replay import Tick, replay
from shared.settings import Settings
from tests.level5.browser import opened

MIDNIGHT = pd.Timestamp("2013-04-02", tz="America/New_York").tz_convert("UTC")
FAST = "as fast as it goes"


@pytest.fixture
def hours(flights: pd.DataFrame) -> list[Tick]:
    """Three days of the real stream."""
    return list(replay(flights, MIDNIGHT, MIDNIGHT + pd.Timedelta(days=3)))


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    """A page over an empty log, whose clock is paused."""
    log = open_log(f"sqlite:///{tmp_path / 'log.db'}")
    yield Live(log, tmp_path, Clock(tmp_path, paused=True), "live")
    log.dispose()


@contextmanager
def played(clock: Clock, hours: list[Tick]) -> Iterator[list[Tick]]:
    """The hours that the clock has let by, while a thread asks for them."""
    seen: list[Tick] = []
    thread = threading.Thread(target=lambda: seen.extend(clock.paced(hours)))  # one by one, as they are let by
    thread.start()
    try:
        yield seen
    finally:
        clock.stop()
        thread.join(10)
        assert not thread.is_alive()


def wait_for(seen: list[Tick], count: int) -> None:
    """Until so many hours have gone by; then no other may follow."""
    until = time.monotonic() + 20
    while len(seen) < count and time.monotonic() < until:
        time.sleep(0.01)
    time.sleep(0.1)
    assert len(seen) == count


def test_a_paused_clock_lets_no_hour_by_and_a_step_is_a_day(tmp_path: Path, hours: list[Tick]) -> None:
    clock = Clock(tmp_path, FAST, paused=True)
    with played(clock, hours) as seen:
        wait_for(seen, 0)
        clock.step()
        wait_for(seen, 24)
        assert (clock.day, clock.paused) == ("2013-04-03", True)
        clock.step()
        wait_for(seen, 48)
        clock.resume()
        wait_for(seen, 72)
    assert [hour.start for hour in seen] == [hour.start for hour in hours]


def test_without_faults_every_flight_and_outcome_goes_by_as_it_came(tmp_path: Path, hours: list[Tick]) -> None:
    for before, after in zip(hours, Clock(tmp_path, FAST).paced(hours), strict=True):
        pd.testing.assert_frame_equal(before.flights, after.flights)
        pd.testing.assert_frame_equal(before.outcomes, after.outcomes)


def test_speed_is_hours_a_second(tmp_path: Path, hours: list[Tick]) -> None:
    begun = time.monotonic()
    assert len(list(Clock(tmp_path, "a day a second").paced(hours[:13]))) == 13
    assert time.monotonic() - begun >= 12 / 24


def test_a_fault_spoils_what_comes_until_it_is_lifted(tmp_path: Path, hours: list[Tick]) -> None:
    clock = Clock(tmp_path, FAST)
    spoilt = []
    for i, hour in enumerate(clock.paced(hours[:60])):
        spoilt.append(not hour.flights["temp"].equals(hours[i].flights["temp"]))
        if i == 20:
            clock.inject("celsius", 3)
        if i == 40:
            clock.lift("celsius")
    asked = [len(hour.flights) > 0 for hour in hours[:60]]
    assert spoilt == [there and 20 < i <= 40 for i, there in enumerate(asked)]
    [kept] = json.loads((tmp_path / FAULTS_FILE).read_text())["faults"]
    assert (kept["fault"], kept["day"], kept["until"]) == ("celsius", "2013-04-02", "2013-04-03")


def test_labels_that_are_late_come_when_they_are_known(tmp_path: Path, flights: pd.DataFrame) -> None:
    """Never before: each is told in the hour in which it is known, three days later, by another clock as well."""
    hours = list(replay(flights, MIDNIGHT, MIDNIGHT + pd.Timedelta(days=5)))
    told: dict[str, int] = {}
    for first, last in ((0, 1), (1, 40), (40, len(hours))):
        clock = Clock(tmp_path, FAST)
        for i, hour in enumerate(clock.paced(hours[first:last]), first):
            assert (hour.outcomes["label_known_at"] < hour.start + pd.Timedelta(hours=1)).all()
            told |= dict.fromkeys(hour.outcomes["flight_id"], i)
            if i == 0:
                clock.inject("labels late", 3)
    was = {flight: i for i, hour in enumerate(hours) for flight in hour.outcomes["flight_id"]}
    late = {told[flight] - i for flight, i in was.items() if 1 <= i < 48}
    assert late == {72}


def test_a_fault_outlives_the_demo(tmp_path: Path) -> None:
    Clock(tmp_path).inject("strike", 2)
    assert [(one.fault, one.number) for one in Clock(tmp_path).active] == [("strike", 2)]


def test_what_cannot_be_is_refused_with_a_remedy(tmp_path: Path) -> None:
    clock = Clock(tmp_path)
    with pytest.raises(UserError, match="size 1, 2 or 3"):
        clock.inject("celsius", 4)
    with pytest.raises(UserError, match="a day a second"):
        clock.set_speed("backwards")
    with pytest.raises(UserError, match="has not begun"):
        clock.step()


@contextmanager
def served(live: Live) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(create_app(live), log_config=None, access_log=False)
        with serve.api_server(config, listening):
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.fixture
def http(live: Live) -> Iterator[httpx.Client]:
    """A client of the page's service."""
    with served(live) as address, httpx.Client(base_url=address, trust_env=False) as client:
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
        ({"content-type": "text/plain"}, 403),
        ({"content-type": "application/x-www-form-urlencoded"}, 403),
    ],
)
def test_only_the_page_itself_may_work_the_clock(
    live: Live, http: httpx.Client, headers: dict[str, str], status: int
) -> None:
    sent = {"content-type": "application/json"} | headers
    if headers.get("origin") == OWN:
        sent["origin"] = str(http.base_url).rstrip("/")
    assert http.post("/clock", content='{"act": "resume"}', headers=sent).status_code == status
    assert live.clock.paused == (status != 200)


def test_a_foreign_name_may_not_even_read(http: httpx.Client) -> None:
    assert http.get("/state", headers={"host": "evil.example"}).status_code == 403
    assert "frame-ancestors 'none'" in http.get("/").headers["content-security-policy"]


def test_what_is_refused_says_why(http: httpx.Client) -> None:
    answer = http.post("/faults", json={"fault": "rain of frogs", "size": 1})
    assert (answer.status_code, "celsius" in answer.json()["detail"]) == (409, True)


def test_metrics_are_in_prometheus_format(live: Live, http: httpx.Client) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    decide(live, "2013-04-07")
    for day, flights, auc in (("2013-04-06", 100, 0.7), ("2013-04-07", 300, 0.8)):
        line = {"day": day, "version": 3, "flights": flights, "loss": flights / 1000, "promised": 0.4, "auc": auc}
        performance.keep(live.log, line)
    text = http.get("/metrics").text
    samples = {sample.name: sample for family in text_string_to_metric_families(text) for sample in family.samples}
    assert samples["drift_distance"].labels == {"column": "temp"}
    assert samples["drift_distance"].value == 0.4
    assert samples["loop_decisions_total"].value == 1
    assert samples["model_log_loss"].labels == {"version": "3"}
    assert samples["model_log_loss"].value == pytest.approx(0.25), "as many flights, as much weight"
    assert samples["model_auc"].value == pytest.approx(0.75)
    assert samples["model_labelled_flights"].value == 400


def decide(live: Live, day: str) -> None:
    drift = Finding(day, "drift", "temp", "alarm", "far", 56, 0.4, 0.1)
    record(live.log, Decision(day, "inform", "drift", (drift,), "drift"), [drift], [])


@pytest.mark.slow
@pytest.mark.parametrize("width", [360, 1280])
def test_clock_and_faults_are_worked_by_keyboard(live: Live, hours: list[Tick], width: int) -> None:
    """Step a day, inject a fault, lift it: with Tab and Enter alone; what happened is said where it is read aloud."""
    live.clock.set_speed(FAST)
    with played(live.clock, hours) as seen, served(live) as address, opened(address, width) as shown:
        shown.locator("#said", has_text="paused").wait_for()
        assert shown.evaluate("document.documentElement.scrollWidth") <= width
        shown.focus("#go")
        shown.keyboard.press("Tab")
        shown.keyboard.press("Enter")
        wait_for(seen, 24)
        shown.locator("#said", has_text="2013-04-03").wait_for()
        for _ in range(4):
            shown.keyboard.press("Tab")
        assert shown.evaluate("document.activeElement.id") == "inject"
        shown.keyboard.press("Enter")
        lift = shown.get_by_role("button", name=f"Lift: {next(iter(FAULTS.values())).what}")
        lift.wait_for()
        assert [one.fault for one in live.clock.active] == [next(iter(FAULTS))]
        shown.keyboard.press("Tab")
        shown.keyboard.press("Enter")
        lift.wait_for(state="detached")
        assert live.clock.active == []


@pytest.mark.slow
def test_the_page_follows_the_year_and_leaves_alone_what_one_is_reading(live: Live) -> None:
    decide(live, "2013-04-07")
    with served(live) as address, opened(address) as shown:
        shown.click("#drift-figures summary")
        decide(live, "2013-04-14")
        shown.locator("#drift-figures thead th", has_text="14 Apr").wait_for()
        assert shown.evaluate("document.getElementById('drift-figures').open")
        assert shown.evaluate("document.activeElement.closest('details').id") == "drift-figures"


def test_what_a_crash_has_left_is_ended_and_nothing_else(settings: Settings) -> None:
    """A process on record that still runs; and one that has got the number of another since, which is left alone."""
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    left, other = subprocess.Popen(sleep), subprocess.Popen(sleep)
    try:
        record_of = Record(settings.level("level5"))
        record_of.add("platform", left.pid)
        record_of.add("MLflow", other.pid)
        record_of.processes["MLflow"][1] -= 5.0  # another process's birth
        record_of.save()
        assert end(settings, Record(settings.level("level5"))) == ["platform"]
        assert left.poll() is not None
        assert other.poll() is None
        assert not record_of.file.exists()
    finally:
        for process in (left, other):
            process.kill()
            process.wait()


def command(name: str, state: Path) -> "subprocess.CompletedProcess[str]":
    words = [sys.executable, "-m", f"level5_monitoring.{name}"]
    cwd = Path(__file__).parents[2]
    return subprocess.run(
        words, cwd=cwd, env=os.environ | {"MLOPS_STATE": str(state)}, capture_output=True, text=True, check=True
    )


def family_of(own: Path) -> list[psutil.Process]:
    """The demo's process and all that it has started, once the last of it is there."""
    until = time.monotonic() + 120
    while "platform" not in Record(own).processes and time.monotonic() < until:
        time.sleep(0.2)
    demo = Record(own).alive(DEMO)
    assert demo
    return [demo, *demo.children(recursive=True)]


@pytest.mark.slow
def test_up_and_down_again(settings: Settings) -> None:
    """Up twice is one demo; down leaves no process of it; a crash is cleared away; up goes on."""
    state = settings.state
    own = state / "demo" / "level5"
    try:
        first = command("up", state).stdout
        record_of = Record(own)
        assert record_of.address in first
        again = command("up", state).stdout
        assert "up already" in again
        assert record_of.address in again
        assert httpx.get(record_of.address, trust_env=False).status_code == 200
        family = family_of(own)
        family[0].kill()  # it ends nothing of what it has started
        said = command("up", state).stdout
        assert all(name in said for name in ("left behind", "platform", "MLflow", "Evidently", "Prefect"))
        assert [one for one in family if one.is_running()] == []
        family = family_of(own)
    finally:
        said = command("down", state).stdout
    assert "Ended: demo" in said
    assert [one for one in family if one.is_running()] == []
    assert "No demo is up" in command("down", state).stdout
