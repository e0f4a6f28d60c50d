"""Helpers for tests of releases: a project to release from, finished releases, and a service that runs them."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from level2_devops.release.artefact import add_model, copy_source, seal
from level2_devops.release.service_status import ServiceStatus, read_service_status
from level2_devops.release.store import Store
from shared.settings import PROJECT, Settings
from tests.support import eventually, living

ACTOR = "tester"


def copy_project(folder: Path, tests: tuple[str, ...] = ("test_features.py",)) -> Path:
    """A project like this one, with a few of its tests, so that its gate is quick."""
    copy_source(PROJECT, folder)
    shutil.copy(PROJECT / "pyproject.toml", folder)
    (folder / "tests" / "level2").mkdir(parents=True)
    helpers = [file.relative_to(PROJECT).as_posix() for file in (PROJECT / "tests").glob("*.py")]
    for name in (*helpers, *(f"tests/level2/{test}" for test in ("__init__.py", *tests))):
        shutil.copy(PROJECT / name, folder / name)
    return folder


def seed_bug(project: Path, module: str, right: str, wrong: str) -> None:
    """Change one line of the project's level 2."""
    file = project / "level2_devops" / module
    assert right in file.read_text()
    file.write_text(file.read_text().replace(right, wrong))


def publish(store: Store, model: Path, *, current: bool = True) -> str:
    """Publish this code as the next release and make it current, as `release` does, but without gates."""
    version, made = store.next_version(), store.home / "made"
    copy_source(PROJECT, made / "app")
    add_model(model, made / "app")
    store.publish(made, version, seal(made / "app", version, None, ACTOR, ""), ACTOR)
    if current:
        store.record("released", version, ACTOR)
    return version


def serve(settings: Settings) -> "subprocess.Popen[str]":
    """`python -m level2_devops serve` as a process."""
    return subprocess.Popen(
        [sys.executable, "-u", "-m", "level2_devops", "serve"],
        env=os.environ | {"MLOPS_STATE": str(settings.state)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@contextmanager
def serving(settings: Settings) -> Iterator[tuple["subprocess.Popen[str]", ServiceStatus]]:
    """That process, once it serves; it is ended with the block."""
    process = serve(settings)
    try:
        yield process, wait_for_service(settings, process)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)


def wait_for_service(settings: Settings, process: "subprocess.Popen[str]", worker_after: int = 0) -> ServiceStatus:
    """The state of the service once it has published one, with another worker than the process `worker_after`."""
    store = Store(settings.level("level2"))

    def state() -> ServiceStatus | None:
        assert process.poll() is None, process.communicate()[0]
        found = read_service_status(store)
        return found if found and found.worker != worker_after else None

    return eventually(state, 90)


def has_ended(pid: int, within: float = 15.0) -> bool:
    """Whether the process ends within so many seconds; fails where it does not."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        eventually(lambda: not living([process]), within)
    return True


def published(store: Store) -> list[str]:
    """The releases in their folder, in order."""
    return sorted(child.name for child in (store.home / "releases").iterdir())
