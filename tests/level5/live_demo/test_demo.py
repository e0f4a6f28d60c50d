"""`make up` starts all of the live demo, a fault that is put in from its page is found, and `make down` ends it all."""

import os
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import psutil
import pytest

from level4_deployment.prediction_log import open_log
from level5_monitoring import config
from level5_monitoring.live_demo import demo
from level5_monitoring.live_demo.clock import Clock
from level5_monitoring.live_demo.processes import DEMO, ProcessRecord, end
from level5_monitoring.live_demo.server import LivePage
from shared.settings import Settings, read_settings
from tests.level5.browser import opened


def test_what_a_crash_has_left_is_ended_and_nothing_else(settings: Settings) -> None:
    """A process on record that still runs; and one that has got the number of another since, which is left alone."""
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    left, other = subprocess.Popen(sleep), subprocess.Popen(sleep)
    try:
        record_of = ProcessRecord(settings.level("level5"))
        record_of.add("platform", left.pid)
        record_of.add("MLflow", other.pid)
        record_of.processes["MLflow"][1] -= 5.0  # another process's birth
        record_of.save()
        assert end(settings, ProcessRecord(settings.level("level5"))) == ["platform"]
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
    while "platform" not in ProcessRecord(own).processes and time.monotonic() < until:
        time.sleep(0.2)
    demo = ProcessRecord(own).alive(DEMO)
    assert demo
    return [demo, *demo.children(recursive=True)]


@pytest.mark.slow
def test_up_and_down_again(settings: Settings, flights: pd.DataFrame) -> None:
    """Up twice is one demo; a crash is cleared away; up goes on, to a year that is worked; down ends it as it plays."""
    state = settings.state
    assert len(flights)  # in the project's own cache, which need not be made again
    shutil.copytree(read_settings().level("shared"), state / "shared")
    own = state / "demo" / "level5"
    try:
        first = command("up", state).stdout
        record_of = ProcessRecord(own)
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
        with opened(ProcessRecord(own).address) as shown:
            work(shown)
            shown.click("#go")
            shown.locator("#said", has_text="running").wait_for()
            family = family_of(own)
            said = command("down", state).stdout
            shown.locator("#said", has_text="has ended").wait_for()
    finally:
        command("down", state)
    assert "Ended: demo" in said
    assert [one for one in family if one.is_running()] == []
    assert "No demo is up" in command("down", state).stdout


def work(shown: Any) -> None:
    """Step until the year has begun, put °C in, and step on until the contract stops; then look around."""
    shown.set_default_timeout(240_000)  # of a machine that does other things as well
    shown.locator("#said", has_text="running").wait_for()
    step(shown)
    step(shown)
    shown.select_option("#fault", label="temperatures in °C")
    shown.select_option("#size", label="everywhere")
    shown.click("#inject")
    shown.get_by_role("button", name="Lift: temperatures in °C").wait_for()
    stop = shown.locator(".events details", has_text="Contract alarm begins")
    for _ in range(3):  # the first day of the fault, and two nights until it is looked at
        step(shown)
    stop.locator("summary").click()
    assert stop.locator("dd", has_text="stop: ").is_visible()
    assert stop.locator("tbody th", has_text="contract").first.is_visible()
    health = shown.inner_text(".card dl")
    assert all(words in " ".join(health.split()) for words in ("platform no trouble", "what is routed 2 of 2"))
    links = {link.inner_text(): link.get_attribute("href") for link in shown.locator("nav.links a").all()}
    assert {*links} == {"Prefect", "MLflow", "Evidently"}
    with httpx.Client(trust_env=False, follow_redirects=True) as http:
        assert {name: http.get(address).status_code for name, address in links.items()} == dict.fromkeys(links, 200)
        until = time.monotonic() + 120
        while not (projects := http.get(f"{links['Evidently']}/api/projects").json()) and time.monotonic() < until:
            time.sleep(0.5)  # Evidently is being loaded, beside the stream
        assert [one["name"] for one in projects] == ["flights"]


def step(shown: Any) -> None:
    """A day more, as the page says when it is over."""
    before = shown.inner_text("#said").split()[0]
    shown.click("#step")
    over = "before => { const said = document.getElementById('said').innerText.split(' '); return said[0] > before && "
    shown.wait_for_function(f"{over} said.at(-1) === 'paused'; }}", arg=before)


def test_the_last_week_is_reported_too(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is closed while the reports of another are made: by the next that are made, or at the year's end."""
    made, go = tmp_path / "made", tmp_path / "go"
    slow = (
        "import os, time\n"
        f"while not os.path.exists({str(go)!r}): time.sleep(0.05)\n"
        f"open({str(made)!r}, 'a').write('reports ')"
    )
    monkeypatch.setattr(demo, "REPORTS", [sys.executable, "-c", slow])
    live = LivePage(open_log(f"sqlite:///{tmp_path / 'log.db'}"), config.own(settings), Clock(tmp_path))
    with ExitStack() as started:
        played = demo.Demo(settings, live, started)
        played.report()
        played.report("2013-12-22")
        assert not made.exists()
        go.touch()
        played.report_rest()
        assert played.reports
        played.reports.wait()
    assert made.read_text() == "reports reports "
