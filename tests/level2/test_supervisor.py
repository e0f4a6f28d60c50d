"""One address stays served while releases change, workers crash and files are tampered with."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from level2_devops import ReleaseError, roll_back
from level2_devops.golden import ask
from level2_devops.request import EXAMPLE
from level2_devops.serving import Serving, read_serving, wait_until_served
from level2_devops.store import Store
from level2_devops.traffic import traffic
from shared.settings import Settings
from tests.level2.releases import WHO, publish, serving, wait_for

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signal that asks a process to end in peace"),
]


@pytest.fixture
def store(settings: Settings, small_model: Path) -> Store:
    """A store with one release, which is current."""
    store = Store(settings.level("level2"))
    publish(store, small_model)
    return store


Running = tuple["subprocess.Popen[str]", Serving]


@pytest.fixture
def running(settings: Settings, store: Store) -> Iterator[Running]:
    with serving(settings) as both:
        yield both


def test_releases_change_under_load_and_no_request_fails(
    running: Running, settings: Settings, store: Store, small_model: Path
) -> None:
    _, service = running
    with traffic(service.address, [EXAMPLE], pause=0.02) as seen:
        time.sleep(2)
        publish(store, small_model)
        current = store.current()
        assert current
        took = wait_until_served(store, current)
        assert took is not None
        time.sleep(2)
        back = roll_back(settings, who=WHO)
        assert back.switched_in is not None
        time.sleep(2)
    assert seen.failed == []
    assert len(seen.rows) > 50
    versions = [row[3] for row in seen.rows]
    assert (versions[0], versions[-1], set(versions)) == ("1.0.0", "1.0.0", {"1.0.0", "1.0.1"})


def test_a_worker_that_is_killed_is_replaced_at_the_same_address(running: Running, settings: Settings) -> None:
    process, service = running
    os.kill(service.worker, signal.SIGKILL)
    again = wait_for(settings, process, worker_after=service.worker)
    assert again.address == service.address
    assert ask(service.address, "/predict", EXAMPLE)["version"] == "1.0.0"


def test_a_tampered_release_is_not_served_and_the_old_one_serves_on(
    running: Running, store: Store, small_model: Path
) -> None:
    _, service = running
    now = store.current()
    version = publish(store, small_model)
    card = store.app(version) / "model" / "model.json"
    card.chmod(0o644)
    card.write_text("{}")
    pointed = store.current()
    assert now
    assert pointed
    with pytest.raises(ReleaseError, match=r"model/model\.json"):
        wait_until_served(store, pointed)
    assert ask(service.address, "/predict", EXAMPLE)["version"] == now.version


def test_asked_to_end_it_leaves_no_process_behind(running: Running, settings: Settings, store: Store) -> None:
    process, service = running
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 0
    assert read_serving(store) is None
    assert not alive(service.worker)


def test_a_worker_does_not_outlive_a_supervisor_that_was_killed(running: Running) -> None:
    process, service = running
    process.kill()
    process.wait()
    until = time.monotonic() + 15
    while alive(service.worker) and time.monotonic() < until:
        time.sleep(0.1)
    assert not alive(service.worker)


def test_a_second_one_is_told_where_the_first_serves(running: Running, settings: Settings) -> None:
    _, service = running
    second = start(settings)
    assert second.returncode == 2
    assert f"already served at {service.address}" in second.stderr


def test_with_nothing_released_it_says_what_to_do(settings: Settings) -> None:
    told = start(settings)
    assert told.returncode == 2
    assert told.stderr == "error: nothing is released yet. Remedy: make release.\n"


def alive(process: int) -> bool:
    return psutil.pid_exists(process) and psutil.Process(process).status() != psutil.STATUS_ZOMBIE


def start(settings: Settings) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "level2_devops.serve"],
        env=os.environ | {"MLOPS_STATE": str(settings.state)},
        capture_output=True,
        text=True,
        check=False,
    )
