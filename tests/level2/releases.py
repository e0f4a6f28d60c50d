"""What the tests of releases share: a project to release from, ready releases, and a service that runs them."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from level2_devops.release.artefact import add_model, copy_source, seal
from level2_devops.release.service_status import ServiceStatus, read_service_status
from level2_devops.release.store import Current, Store
from shared.settings import PROJECT, Settings

WHO = "tester"


def copy_project(folder: Path, tests: tuple[str, ...] = ("test_features.py",)) -> Path:
    """A project like this one, with a few of its tests, so that its gate is quick."""
    copy_source(PROJECT, folder)
    shutil.copy(PROJECT / "pyproject.toml", folder)
    (folder / "tests" / "level2").mkdir(parents=True)
    for name in ("__init__.py", "conftest.py", "level2/__init__.py", *(f"level2/{test}" for test in tests)):
        shutil.copy(PROJECT / "tests" / name, folder / "tests" / name)
    return folder


def seed_bug(project: Path, module: str, right: str, wrong: str) -> None:
    """Spoil one line of the project's level 2."""
    file = project / "level2_devops" / module
    assert right in file.read_text()
    file.write_text(file.read_text().replace(right, wrong))


def publish(store: Store, model: Path) -> str:
    """Publish this code as the next release, and point to it: what `release` does, without its gates."""
    version, made, now = store.next_version(), store.home / "made", store.current()
    copy_source(PROJECT, made / "app")
    add_model(model, made / "app")
    store.publish(made, version, seal(made / "app", version, None, WHO, ""), WHO)
    before = (*now.before, now.version) if now else ()
    store.point_to(Current(version, before, now.change + 1 if now else 1))
    return version


@contextmanager
def serving(settings: Settings, *more: str) -> Iterator[tuple["subprocess.Popen[str]", ServiceStatus]]:
    """`python -m level2_devops.supervisor` as a process, once it serves."""
    process = subprocess.Popen(
        [sys.executable, "-m", "level2_devops.supervisor", *more],
        env=os.environ | {"MLOPS_STATE": str(settings.state)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process, wait_for(settings, process)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)


def wait_for(settings: Settings, process: "subprocess.Popen[str]", worker_after: int = 0) -> ServiceStatus:
    """The state of the service once it has told one, with another worker than the process `worker_after`."""
    store, until = Store(settings.level("level2")), time.monotonic() + 90
    while time.monotonic() < until:
        assert process.poll() is None, process.communicate()[0]
        state = read_service_status(store)
        if state and state.worker != worker_after:
            return state
        time.sleep(0.05)
    raise AssertionError("nothing serves after 90 s")


def has_ended(pid: int, within: float = 15.0) -> bool:
    """Whether the process ends within so many seconds; one that only waits to be fetched by its parent has ended."""
    until = time.monotonic() + within
    while time.monotonic() < until:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.1)
    return False
