"""`up` starts the whole live demo, the loop finds a fault that is injected on its page, and `down` ends everything."""

import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import psutil
import pytest

from level5_monitoring import config
from level5_monitoring.live_demo import demo, processes
from level5_monitoring.live_demo.clock import Clock
from level5_monitoring.live_demo.processes import DEMO, ProcessRecord, end
from level5_monitoring.live_demo.server import LivePage
from level5_monitoring.tables import open_log
from shared.errors import UserError
from shared.settings import PROJECT, Settings
from tests.level5.browser import opened
from tests.support import eventually, lend_flights


def test_the_processes_of_a_crashed_demo_are_ended_and_no_others(settings: Settings) -> None:
    """A process on record that still runs is ended; one that got the pid of an ended one later is not."""
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


def test_a_demo_that_ends_at_once_is_an_error_with_its_log(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "COMMAND", [sys.executable, "-c", "raise SystemExit(3)"])
    with pytest.raises(UserError, match=r"status 3. Remedy: see .*demo\.log"):
        processes.up(settings)


def test_the_state_of_all_levels_is_never_removed(settings: Settings) -> None:
    """Without a workspace, a fresh demo would remove the state folder itself."""
    (settings.state / "level1").mkdir(parents=True)
    with pytest.raises(UserError, match="MLOPS_WORKSPACE is empty"):
        processes.up(settings, fresh=True)
    assert (settings.state / "level1").exists()


def run(verb: str, state: Path) -> str:
    words, environment = [sys.executable, "-m", "level5_monitoring", verb], os.environ | {"MLOPS_STATE": str(state)}
    return subprocess.run(words, cwd=PROJECT, env=environment, capture_output=True, text=True, check=True).stdout


def family_of(own: Path) -> list[psutil.Process]:
    """The demo's process and all that it has started, once the platform, the last of it, is there."""
    eventually(lambda: "platform" in ProcessRecord(own).processes, within=120)
    process = ProcessRecord(own).alive(DEMO)
    assert process
    return [process, *process.children(recursive=True)]


@pytest.mark.slow
def test_up_and_down_again(settings: Settings, flights: pd.DataFrame) -> None:
    """A second up starts nothing; up after a crash ends what is left and goes on; down ends the demo while it plays."""
    state = settings.state
    assert len(flights)  # in the project's own cache, which need not be made again
    lend_flights(state)
    own = state / "demo" / "level5"
    try:
        first = run("up", state)
        record_of = ProcessRecord(own)
        assert record_of.address in first
        again = run("up", state)
        assert "up already" in again
        assert record_of.address in again
        assert httpx.get(record_of.address).status_code == 200
        family = family_of(own)
        family[0].kill()  # it ends nothing of what it has started
        output = run("up", state)
        assert all(name in output for name in ("left behind", "platform", "MLflow", "Evidently", "Prefect"))
        assert [one for one in family if one.is_running()] == []
        with opened(ProcessRecord(own).address) as shown:
            work(shown)
            shown.click("#go")
            shown.locator("#status", has_text="running").wait_for()
            family = family_of(own)
            output = run("down", state)
            shown.locator("#status", has_text="has ended").wait_for()
    finally:
        run("down", state)
    assert "Ended: demo" in output
    assert [one for one in family if one.is_running()] == []
    assert "No demo is up" in run("down", state)


def work(shown: Any) -> None:
    """Step until the year has begun, inject °C, step on until the contract alarm, and check the rest of the page."""
    shown.set_default_timeout(240_000)  # of a machine that does other things as well
    shown.locator("#status", has_text="running").wait_for()
    step(shown)
    step(shown)
    shown.select_option("#fault", label="temperatures in °C")
    shown.select_option("#size", label="everywhere")
    shown.click("#inject")
    shown.get_by_role("button", name="Remove: temperatures in °C").wait_for()
    alert = shown.locator(".events details", has_text="Contract alarm begins")
    for _ in range(3):  # the first day of the fault, and two nights until it is closed
        step(shown)
    alert.locator("summary").click()
    assert alert.locator("dd", has_text="stop experiment: ").is_visible()
    assert alert.locator("tbody th", has_text="contract").first.is_visible()
    health = shown.inner_text(".card dl")
    assert all(
        words in " ".join(health.split()) for words in ("platform healthy", "workers on the current routes 2 of 2")
    )
    links = {link.inner_text(): link.get_attribute("href") for link in shown.locator("nav.links a").all()}
    assert {*links} == {"Prefect", "MLflow", "Evidently"}
    with httpx.Client(follow_redirects=True) as http:
        address = f"{links['Evidently']}/api/projects"
        projects = eventually(lambda: http.get(address).json(), within=120)  # Evidently loads beside the stream
        assert [one["name"] for one in projects] == ["flights"]
    made = {"Prefect": "delivery as of 2013-04-01", "MLflow": "training as of 2013-04-01", "Evidently": "flights"}
    for name, text in made.items():
        page = shown.context.new_page()
        page.goto(links[name])
        page.get_by_text(text).first.wait_for()
        page.close()


def step(shown: Any) -> None:
    """Step a day, and wait until the page shows that it is over."""
    before = shown.inner_text("#status").split()[0]
    shown.click("#step")
    words = "const words = document.getElementById('status').innerText.split(' ')"
    over = f"before => {{ {words}; return words[0] > before && words.at(-1) === 'paused'; }}"
    shown.wait_for_function(over, arg=before)


def test_the_last_week_is_reported_too(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A week that closes while another is being reported is in the next reports, or in those at the year's end."""
    made, go = tmp_path / "made", tmp_path / "go"
    slow = (
        "import os, time\n"
        f"while not os.path.exists({str(go)!r}): time.sleep(0.05)\n"
        f"open({str(made)!r}, 'a').write('reports ')"
    )
    monkeypatch.setattr(demo, "REPORTS", [sys.executable, "-c", slow])
    with ExitStack() as started:
        log = started.enter_context(open_log(f"sqlite:///{tmp_path / 'log.db'}"))
        live = LivePage(log, config.own(settings), Clock(tmp_path))
        played = demo.Demo(settings, live, started)
        played.report()
        played.report("2013-12-22")
        assert not made.exists()
        go.touch()
        played.report_rest()
        assert played.reports
        played.reports.wait()
    assert made.read_text() == "reports reports "
