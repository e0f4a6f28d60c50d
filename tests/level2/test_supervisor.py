"""One address stays served while releases change, workers crash and files are tampered with."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

import pytest

from level2_devops.load_generator import traffic
from level2_devops.release.gates import post
from level2_devops.release.pipeline import roll_back
from level2_devops.release.service_status import STATE, ServiceStatus, read_service_status, wait_until_served
from level2_devops.release.store import ReleaseError, Store
from level2_devops.service.requests import EXAMPLE
from shared.files import StateError
from shared.settings import Settings
from tests.level2.releases import ACTOR, has_ended, publish, serve, serving, wait_for_service
from tests.support import eventually

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signal that asks a process to end gracefully"),
]


@pytest.fixture
def store(settings: Settings, small_model: Path) -> Store:
    """A store with one release, which is current."""
    store = Store(settings.level("level2"))
    publish(store, small_model)
    return store


Running = tuple["subprocess.Popen[str]", ServiceStatus]


@pytest.fixture
def running(settings: Settings, store: Store) -> Iterator[Running]:
    with serving(settings) as both:
        yield both


def test_releases_change_under_load_no_request_fails_and_no_process_is_left(
    running: Running, settings: Settings, store: Store, small_model: Path
) -> None:
    process, service = running
    with traffic(service.address, [EXAMPLE], pause=0.02) as seen:
        time.sleep(2)
        publish(store, small_model)
        assert wait_until_served(store) is not None
        time.sleep(2)
        back = roll_back(settings, actor=ACTOR)
        assert back.switched_in is not None
        time.sleep(2)
    assert seen.failed == []
    assert len(seen.rows) > 50
    versions = [row[3] for row in seen.rows]
    assert (versions[0], versions[-1], set(versions)) == ("1.0.0", "1.0.0", {"1.0.0", "1.0.1"})
    last = wait_for_service(settings, process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 0
    assert read_service_status(store) is None
    assert has_ended(last.worker, within=1)
    assert not (store.home / STATE).exists()


def test_one_address_stays_served_though_its_worker_is_killed_a_release_tampered_with_and_another_service_started(
    running: Running, settings: Settings, store: Store, small_model: Path
) -> None:
    process, service = running
    os.kill(service.worker, signal.SIGKILL)
    again = wait_for_service(settings, process, worker_after=service.worker)
    assert again.address == service.address
    version = publish(store, small_model, current=False)
    card = store.app(version) / "model" / "model.json"
    card.chmod(0o644)
    card.write_text("{}")
    store.record("released", version, ACTOR)
    with pytest.raises(ReleaseError, match=r"model/model\.json"):
        wait_until_served(store)
    second = serve(settings)
    assert f"at work in level2 already: make serve (process {process.pid}, since " in second.communicate()[0]
    assert second.returncode == 2
    assert post(service.address, "/predict", EXAMPLE)["version"] == "1.0.0"


def test_a_killed_supervisor_leaves_no_worker_and_no_status(running: Running, store: Store) -> None:
    process, service = running
    process.kill()
    process.wait()
    assert read_service_status(store) is None
    assert has_ended(service.worker)


def test_a_release_that_does_not_start_is_tried_again_after_ever_longer_waits(running: Running, store: Store) -> None:
    process, service = running
    card = store.app("1.0.0") / "model" / "model.json"
    card.chmod(0o644)
    card.write_text("{}")
    os.kill(service.worker, signal.SIGKILL)
    assert process.stdout
    waits = (re.search(r"starting it again in (.+) s", line) for line in process.stdout)
    assert [found[1] for found in islice(filter(None, waits), 4)] == ["0.2", "0.4", "0.8", "1.6"]


def test_without_a_release_it_names_the_remedy(settings: Settings) -> None:
    process = serve(settings)
    assert process.communicate()[0] == "error: nothing is released yet. Remedy: make release.\n"
    assert process.returncode == 2


def test_a_supervisor_stopped_while_it_starts_ends_with_status_0(settings: Settings, store: Store) -> None:
    process = serve(settings)
    assert process.stdout
    output = process.stdout.read(len("Start"))
    process.send_signal(signal.SIGINT)
    output += process.communicate(timeout=60)[0]
    assert process.returncode == 0, output
    assert " serves" not in output
    assert "error" not in output


def status_again(store: Store) -> ServiceStatus | None:
    """The service's status, once it is whole."""
    with suppress(StateError):
        return read_service_status(store)
    return None


def test_garbled_state_files_do_not_end_a_running_service(
    running: Running, settings: Settings, store: Store, small_model: Path
) -> None:
    process, service = running
    contents = {"serving.json": b"\x80\x04\xff", "history.jsonl": b'{"version": "1.0.0"}'}
    for name, content in contents.items():
        whole = (store.home / name).read_bytes()
        (store.home / name).write_bytes(content + b"\n")
        time.sleep(1)
        assert process.poll() is None
        assert post(service.address, "/predict", EXAMPLE)["version"] == "1.0.0"
        if name == "serving.json":
            assert eventually(lambda: status_again(store)) == service, "it is written again"
        (store.home / name).write_bytes(whole)
    second = publish(store, small_model)
    wait_until_served(store)
    eventually(lambda: post(service.address, "/predict", EXAMPLE)["version"] == second, 30)  # the old one still drains
