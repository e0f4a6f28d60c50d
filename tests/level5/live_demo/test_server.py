"""The live page follows the year, its clock and faults can be worked from it, and only from it."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pandas as pd
import pytest
import uvicorn

from level4_deployment.control import server as serve
from level4_deployment.experiment import labels
from level4_deployment.prediction_log import LABELS, PREDICTIONS, open_log
from level5_monitoring.dashboard.health import of_the_platform
from level5_monitoring.fault_injection import FAULTS
from level5_monitoring.live_demo.clock import Clock
from level5_monitoring.live_demo.server import LivePage, create_app
from level5_monitoring.loop.alerts import Alert
from level5_monitoring.loop.loop_store import record_decision
from level5_monitoring.loop.policy import Decision
from level5_monitoring.monitors import performance
from level5_monitoring.monitors.monitor_result import MonitorResult
from shared.data.replay import Tick
from tests.level5.browser import opened
from tests.level5.test_clock import FAST, played, wait_for
from tests.level5.test_page import A_DAY, DAYS, LATE, answer, by_calendar


@pytest.fixture
def live(tmp_path: Path) -> Iterator[LivePage]:
    """A page over an empty log, whose clock is paused."""
    log = open_log(f"sqlite:///{tmp_path / 'log.db'}")
    yield LivePage(log, tmp_path, Clock(tmp_path, paused=True), "live")
    log.dispose()


@contextmanager
def served(live: LivePage) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(create_app(live), log_config=None, access_log=False)
        with serve.api_server(config, listening):
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.fixture
def http(live: LivePage) -> Iterator[httpx.Client]:
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
    live: LivePage, http: httpx.Client, headers: dict[str, str], status: int
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


def test_metrics_are_in_prometheus_format(live: LivePage, http: httpx.Client) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    decide(live, "2013-04-07")
    for day, flights, auc in (("2013-04-06", 100, 0.7), ("2013-04-07", 300, 0.8)):
        line = {"day": day, "version": 3, "flights": flights, "loss": flights / 1000, "expected_loss": 0.4, "auc": auc}
        performance.keep(live.log, line)
    text = http.get("/metrics").text
    samples = {sample.name: sample for family in text_string_to_metric_families(text) for sample in family.samples}
    assert samples["monitor_value"].labels == {"monitor": "drift", "target": "temp"}
    told = {name: samples[f"monitor_{name}"].value for name in ("value", "threshold", "alarm")}
    assert told == {"value": 0.4, "threshold": 0.1, "alarm": 1.0}
    assert samples["loop_decisions_total"].value == 1
    assert samples["model_log_loss"].labels == {"version": "3"}
    assert samples["model_log_loss"].value == pytest.approx(0.25), "as many flights, as much weight"
    assert samples["model_auc"].value == pytest.approx(0.75)
    assert samples["model_labelled_flights"].value == 400


def decide(live: LivePage, day: str) -> None:
    """A week's end at which a column drifts, which is told."""
    drift = MonitorResult(day, "drift", "temp", "alarm", "far", 56, 0.4, 0.1)
    told = Alert(f"{day}-drift", day, "ticket", "drift alarm begins", "temp drifts")
    record_decision(live.log, Decision(day, "notify", "drift", (drift,), "drift"), [drift], [told])


@pytest.mark.slow
@pytest.mark.parametrize("width", [360, 1280])
def test_clock_and_faults_are_worked_by_keyboard(live: LivePage, hours: list[Tick], width: int) -> None:
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
def test_the_page_follows_the_year_and_leaves_alone_what_one_is_reading(live: LivePage) -> None:
    """What is open stays open, and what is focused and scrolled to stays so: a table, a link, an event."""
    sundays = [str(day.date()) for day in pd.date_range("2013-04-07", periods=12, freq="7D")]
    live.links = {"MLflow": "http://127.0.0.1:9"}
    for day in sundays[:8]:
        decide(live, day)
    with served(live) as address, opened(address, 360) as shown:

        def next_week() -> None:
            day = sundays[shown.locator("#drift-figures thead th").count() - 1]
            decide(live, day)
            heading = f"{pd.Timestamp(day).day} {pd.Timestamp(day):%b}"
            shown.locator("#drift-figures thead th", has_text=heading).wait_for(state="attached")

        shown.click("#drift-figures summary")
        next_week()
        assert shown.evaluate("document.getElementById('drift-figures').open")
        assert shown.evaluate("document.activeElement.closest('details').id") == "drift-figures"
        shown.keyboard.press("Tab")
        shown.evaluate("document.activeElement.scrollLeft = 90")
        next_week()
        assert shown.evaluate("[document.activeElement.id, document.activeElement.scrollLeft]") == ["drift-by-week", 90]
        shown.focus("#to-MLflow")
        next_week()
        assert shown.evaluate("document.activeElement.innerText") == "MLflow"
        reading = shown.locator(".events summary", has_text="7 Apr")
        reading.click()
        before = reading.bounding_box()["y"]
        next_week()
        assert reading.bounding_box()["y"] == pytest.approx(before, abs=1)


@pytest.mark.slow
def test_the_page_says_what_was_refused_or_not_done_and_how_fast_it_goes(live: LivePage) -> None:
    with ExitStack() as server:
        address = server.enter_context(served(live))
        with opened(address) as shown:
            shown.locator("#said", has_text="the year begins").wait_for()
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


def test_lines_to_compare_with_are_drawn_once_they_are_there(live: LivePage) -> None:
    """Also for weeks that were read before; the page is told that it is another one."""
    for day in DAYS:
        with live.log.begin() as connection:
            connection.execute(PREDICTIONS.insert(), [answer(day, j, 1e6) for j in range(A_DAY)])
            told = [{"flight_id": f"{day}-{j}", "late": LATE[j], "known_at": 0.0, "received_at": 0.0} for j in range(7)]
            connection.execute(LABELS.insert(), told)
    labels.ingest(live.log, [], pd.Timestamp("2013-04-22", tz="America/New_York").timestamp())
    assert 'class="weekly"' not in live.year()
    before = live.stamp()
    by_calendar(live.home)
    assert live.stamp() != before
    assert all(f'class="{name}" d="M' in live.year() for name in ("loop", "weekly", "frozen"))


def test_a_platform_that_has_ended_is_told(tmp_path: Path) -> None:
    [told] = of_the_platform(tmp_path)
    assert (told.what, told.stands, told.well) == ("platform", "does not answer", False)
