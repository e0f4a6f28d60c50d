"""The gates: what a release must pass before it may serve."""

import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from level2_devops.release.artefact import REQUIREMENTS, SOURCES
from level2_devops.release.golden import ask, golden
from level2_devops.release.store import MODEL, ReleaseError
from level2_devops.service.worker_process import address_of, clean_environment, open_socket, running, start_worker
from shared.settings import Settings

# The quick tests of what is released. Those of the release itself make releases, whose gate would run them
# again, without end; `make test-all` and CI run them, and the tests of the shared data, which take minutes.
TESTS = ["tests/level2", "-m", "not slow"]
LEFT_OUT = ["test_release*", "test_supervisor*", "test_traffic*", "test_run*"]
GOLDEN_FLIGHTS, ONE_BY_ONE = 100, 6  # asked in one batch; and some of them alone


@dataclass(frozen=True)
class Tests:
    """A run of the tests beside other work; what it prints goes to the file `log`."""

    process: subprocess.Popen[bytes]
    log: Path

    def result(self) -> str:
        """Wait for the end; returns pytest's own summary, or raises ReleaseError with the tests that failed."""
        self.process.wait()
        said = self.log.read_text(encoding="utf-8", errors="replace").replace("·", "")  # which says: still at work
        lines = said.strip().splitlines() or ["no output"]
        if self.process.returncode == 0:
            return next(line for line in reversed(lines) if " passed" in line).strip("= ")
        failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))] or lines[-3:]
        raise ReleaseError(f"its tests fail: {'; '.join(failed)}. Remedy: mend it (all that they say: {self.log})")


@contextmanager
def tests_running(source: Path, workshop: Path, settings: Settings, log: Path) -> Iterator[Tests]:
    """Start the quick tests of `source` on a copy of the release's own code; they end with the block at the latest.

    They find the data's cache in the state folder, and load no plugin, which would take longer than they do.
    """
    folder = workshop / "tested"
    for name in SOURCES:
        shutil.copytree(workshop / "release" / "app" / name, folder / name)
    shutil.copytree(source / "tests", folder / "tests", ignore=shutil.ignore_patterns("__pycache__", *LEFT_OUT))
    for name in ("pyproject.toml", REQUIREMENTS):
        shutil.copy(source / name, folder)
    log.parent.mkdir(exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", "-q", "-x", "--no-header", "--tb=short", "-p", "no:cacheprovider", *TESTS],
            cwd=folder,
            env=clean_environment() | {"MLOPS_STATE": str(settings.state), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield Tests(process, log)
    finally:
        _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End the tests with all that they have started; Windows, which knows no sessions, ends pytest alone."""
    if sys.platform == "win32":
        process.kill()
    else:
        with suppress(ProcessLookupError, PermissionError):  # nothing is left; macOS says that in its own way
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def smoke_test(app: Path, version: str, settings: Settings, log: Path) -> int:
    """Start the release from its own folder and ask it about real flights; returns how many.

    Raises ReleaseError when it does not get ready, or when an answer is not what its own model says.
    """
    with open_socket() as listening, running(start_worker(app, version, listening, log)) as worker:
        flights, expected = golden(app / MODEL, settings, GOLDEN_FLIGHTS)  # while it starts
        worker.wait_ready()
        address = address_of(listening)
        try:
            urllib.request.urlopen(address + "/ready", timeout=10).close()
            answers = ask(address, "/predict/batch", {"flights": flights})["predictions"]
            answers += [ask(address, "/predict", flight) for flight in flights[:ONE_BY_ONE]]
        except OSError as error:  # no answer, or one that says 4xx or 5xx
            raise ReleaseError(f"the service does not answer real flights: {error}. Remedy: see {log}") from error
    right = [*expected, *expected[:ONE_BY_ONE]]
    off = [abs(answer["probability"] - own) for answer, own in zip(answers, right, strict=True)]
    wrong = sum(difference > 1e-9 for difference in off)
    if wrong:
        raise ReleaseError(
            f"{wrong} of {len(off)} answers differ from the model's own, by up to {max(off):.4f}. "
            "Remedy: find what lies between request and model; look at features and fallbacks first."
        )
    return len(off)
