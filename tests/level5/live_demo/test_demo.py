"""`up` starts the whole live demo, the loop finds a fault that is injected on its page, and `down` ends everything."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import psutil
import pytest

from level5_monitoring import config
from level5_monitoring.live_demo import demo, processes
from level5_monitoring.live_demo.clock import Clock
from level5_monitoring.live_demo.processes import read_address, running_demo
from level5_monitoring.live_demo.server import LivePage
from level5_monitoring.tables import open_log
from shared.errors import UserError
from shared.settings import PROJECT, Settings
from tests.level5.browser import opened
from tests.support import eventually, lend_flights, living, words_of


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


def test_a_fresh_demo_is_refused_while_one_runs(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "running_demo", lambda _: psutil.Process())
    with pytest.raises(UserError, match=r"demo is up.* Remedy: make down, then make up FRESH=1"):
        processes.up(replace(settings, workspace="demo"), fresh=True)


@pytest.mark.parametrize("name", ["..", "../other"])
def test_a_fresh_demo_removes_nothing_outside_the_state(
    settings: Settings, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "COMMAND", [sys.executable, "-c", "raise SystemExit(3)"])
    other = settings.state.parent / "other"
    other.mkdir()
    with pytest.raises(UserError, match=r"is not inside .*Remedy"):
        processes.up(replace(settings, workspace=name), fresh=True)
    assert other.exists()


def run(verb: str, state: Path) -> str:
    words, environment = [sys.executable, "-m", "level5_monitoring", verb], os.environ | {"MLOPS_STATE": str(state)}
    return subprocess.run(words, cwd=PROJECT, env=environment, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def starting(settings: Settings) -> Iterator[tuple["subprocess.Popen[str]", psutil.Process]]:
    """`make up` as soon as its demo is on record, and the demo, which still imports its libraries."""
    words = [sys.executable, "-m", "level5_monitoring", "up"]
    environment = os.environ | {"MLOPS_STATE": str(settings.state)}
    up = subprocess.Popen(words, cwd=PROJECT, env=environment, stderr=subprocess.PIPE, text=True)
    child = eventually(lambda: running_demo(replace(settings, workspace="demo")), within=60)
    yield up, child
    for one in (up, *living([child])):
        one.kill()
    up.communicate()


@pytest.mark.slow
def test_up_that_is_interrupted_leaves_no_demo(
    settings: Settings, starting: tuple["subprocess.Popen[str]", psutil.Process]
) -> None:
    up, child = starting
    up.send_signal(signal.SIGINT)
    up.wait(timeout=60)
    assert up.returncode == 130
    assert living([child]) == []
    assert "No demo is up" in run("down", settings.state)


@pytest.mark.slow
def test_a_demo_that_is_starting_is_ended_by_down_and_stops_clean(
    settings: Settings, starting: tuple["subprocess.Popen[str]", psutil.Process]
) -> None:
    """Also when `make up` itself was killed."""
    up, child = starting
    up.kill()
    words, environment = [sys.executable, "-m", "shared.processes.reset"], {"MLOPS_STATE": str(settings.state)}
    for level in ([], ["demo"]):
        clean = subprocess.run([*words, *level], env=environment, capture_output=True, text=True, check=False)
        assert f"the live demo of make up (process {child.pid}" in clean.stderr
    assert "The demo has ended" in run("down", settings.state)
    assert living([child]) == []
    subprocess.run([*words, "demo"], env=environment, check=True)
    assert not (settings.state / "demo").exists()


def test_down_makes_nothing_where_no_demo_was(settings: Settings) -> None:
    assert "No demo is up" in run("down", settings.state)
    assert [one.name for one in settings.state.iterdir()] == [".at-work"]


def family_of(settings: Settings) -> list[psutil.Process]:
    """The demo's process and all that it has started, once the platform, the last of it, is there."""
    process = running_demo(settings)
    assert process

    def family() -> list[psutil.Process]:
        found = [process, *process.children(recursive=True)]
        return found if any("level4_deployment" in words_of(one) for one in found) else []

    return eventually(family, within=120)


@pytest.mark.slow
def test_up_and_down_again(settings: Settings, flights: pd.DataFrame) -> None:
    """A second up starts nothing; after a kill nothing is left, and up goes on; down ends the demo while it plays."""
    settings = replace(settings, workspace="demo")
    state = settings.state
    assert len(flights)  # in the project's own cache, which need not be made again
    lend_flights(state)
    own = state / "demo" / "level5"
    try:
        first = run("up", state)
        assert read_address(own) in first
        again = run("up", state)
        assert "up already" in again
        assert read_address(own) in again
        assert httpx.get(read_address(own), timeout=60).status_code == 200
        refused = subprocess.run(
            [sys.executable, "-m", "shared.processes.reset"],
            env=os.environ | {"MLOPS_STATE": str(state)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert refused.returncode == 2
        assert "at work in demo already: the live demo of make up (process " in refused.stderr
        assert "Remedy: end it with make down." in refused.stderr
        family = family_of(settings)
        family[0].kill()  # it ends nothing of what it has started
        eventually(lambda: not living(family), within=30, shows=lambda: living(family))
        run("up", state)
        training = eventually(lambda: activity(own, "training the first model", least=0.1), within=240)
        assert training["seconds"] > 0
        with opened(read_address(own)) as shown:
            work(shown)
            shown.click("#go")
            shown.locator("#status", has_text="running").wait_for()
            family = family_of(settings)
            output = run("down", state)
            shown.locator("#status", has_text="has ended").wait_for()
    finally:
        run("down", state)
    assert "The demo has ended" in output
    assert living(family) == []
    assert "No demo is up" in run("down", state)


def activity(own: Path, what: str, least: float) -> dict[str, Any]:
    """What the demo is doing, if it is that, and at least so much of it is done."""
    shown: dict[str, Any] = httpx.get(f"{read_address(own)}/state", timeout=30).json()["activity"] or {}
    return shown if shown.get("what") == what and shown["share"] >= least else {}


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
    assert alert.locator("dd", has_text="stop experiment").is_visible()
    assert alert.locator(".evidence b", has_text="contract").first.is_visible()
    shown.click("#health summary")
    health = shown.inner_text("#health dl")
    assert all(
        words in " ".join(health.split()) for words in ("platform healthy", "workers on the current routes 1 of 1")
    )
    links = {link.inner_text(): link.get_attribute("href") for link in shown.locator("nav.links a").all()}
    assert {*links} == {"Prefect", "MLflow", "Evidently"}
    made = {"Prefect": "delivery as of 2013-04-01", "MLflow": "training as of 2013-04-01", "Evidently": "flights"}
    for name, text in made.items():
        page = shown.context.new_page()
        page.set_default_timeout(240_000)
        page.goto(links[name])
        page.wait_for_url(lambda address: "/pages/" not in address)  # it starts, and then leads to the tool's own
        page.get_by_text(text).first.wait_for()
        page.close()


def step(shown: Any) -> None:
    """Step a day, and wait until the page shows that it is over."""
    before = shown.get_attribute("#status", "data-day")
    shown.click("#step")
    status = "const status = document.getElementById('status')"
    over = f"before => {{ {status}; return status.dataset.day > before && status.innerText.endsWith('paused'); }}"
    shown.wait_for_function(over, arg=before)


def test_the_last_week_is_reported_too(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A week that closes while another is being reported is in the next reports, or in those at the year's end."""
    made, go = tmp_path / "made", tmp_path / "go"
    slow = (
        "import os, time\n"
        f"while not os.path.exists({str(go)!r}): time.sleep(0.05)\n"
        f"open({str(made)!r}, 'a').write('reports ')"
    )
    (tmp_path / "slow_reports.py").write_text(slow)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(demo, "REPORTS", ["slow_reports"])
    with ExitStack() as started:
        log = started.enter_context(open_log(f"sqlite:///{tmp_path / 'log.db'}"))
        live = LivePage(log, config.own(settings), Clock(tmp_path))
        played = demo.Demo(settings, live, started)
        played.report()
        assert played.reports is None  # nobody has opened Evidently's pages yet
        played.reports_wanted = True
        played.report()
        played.report("2013-12-22")
        assert not made.exists()
        go.touch()
        played.report_rest()
        assert played.reports
        played.reports.wait()
    assert made.read_text() == "reports reports "
