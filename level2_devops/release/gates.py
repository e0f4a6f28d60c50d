"""The gates that a release must pass before it may serve: its own tests, and a smoke test with real flights."""

import json
import shutil
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from level2_devops.release.artefact import REQUIREMENTS, SOURCES, copy_folder
from level2_devops.release.store import ReleaseError
from level2_devops.service.requests import flights_as_requests
from level2_devops.service.worker_process import (
    MODEL,
    address_of,
    open_socket,
    release_environment,
    start_worker,
)
from shared.data.flights import load_flights
from shared.data.split import history
from shared.processes.children import Process, kill, start
from shared.settings import Settings

# The quick tests of the released code. The tests of releases are left out: they make releases, whose gate would run
# them again without end. `make test-all` and CI run those.
TESTS = ["tests/level2", "-m", "not slow"]
LEFT_OUT = ["release", "test_supervisor*", "test_load_generator*", "test_run*"]
GOLDEN_FLIGHTS, ONE_BY_ONE = 100, 6  # sent in one batch; of these, also sent as single requests


@dataclass(frozen=True)
class Tests:
    """A test run beside other work; its output goes to the file `log`."""

    process: Process
    log: Path

    def result(self) -> str:
        """Wait for the end; returns pytest's summary line, or raises ReleaseError with the tests that failed."""
        self.process.wait()
        output = self.log.read_text(encoding="utf-8", errors="replace").replace("·", "")  # dots that show progress
        lines = output.strip().splitlines() or ["no output"]
        if self.process.returncode == 0:
            return next(line for line in reversed(lines) if " passed" in line).strip("= ")
        failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
        failed = failed or [*lines[-3:], f"pytest ended with status {self.process.returncode}"]
        raise ReleaseError(f"its tests fail: {'; '.join(failed)}. Remedy: fix the code (full output: {self.log})")


@contextmanager
def tests_running(source: Path, workshop: Path, settings: Settings, log: Path) -> Iterator[Tests]:
    """Start the quick tests of `source` on a copy of the release's code; the end of the block stops them.

    They read the data's cache in the state folder, and load no pytest plugin, because that takes longer than they do.
    """
    folder = workshop / "tested"
    for name in SOURCES:
        copy_folder(workshop / "release" / "app" / name, folder / name)
    copy_folder(source / "tests", folder / "tests", *LEFT_OUT)
    for name in ("pyproject.toml", REQUIREMENTS):
        shutil.copy(source / name, folder)
    log.parent.mkdir(exist_ok=True)
    log.write_bytes(b"")
    words = ["pytest", "-q", "-x", "--no-header", "--tb=short", "-p", "no:cacheprovider", *TESTS]
    own = {"MLOPS_STATE": str(settings.state), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    process = start(words, log, release_environment() | own, folder)
    try:
        yield Tests(process, log)
    finally:
        kill(process)  # the tests, and every process that they have started


def smoke_test(app: Path, version: str, settings: Settings, log: Path) -> int:
    """Start the release from its own folder and send it real flights; returns the number of answers.

    Raises ReleaseError when it does not become ready, or when an answer differs from its own model's.
    """
    with open_socket() as listening:
        worker = start_worker(app, version, listening, log)
        try:
            flights, expected = golden_flights(app / MODEL, settings, GOLDEN_FLIGHTS)  # while it starts
            worker.wait_ready()
            address = address_of(listening)
            urllib.request.urlopen(address + "/ready", timeout=10).close()
            answers = post(address, "/predict/batch", {"flights": flights})["predictions"]
            answers += [post(address, "/predict", flight) for flight in flights[:ONE_BY_ONE]]
        except OSError as error:  # no answer, or status 4xx or 5xx
            raise ReleaseError(f"the service does not answer real flights: {error}. Remedy: see {log}") from error
        finally:
            worker.stop()
    answered = np.array([answer["probability"] for answer in answers])
    off = np.abs(answered - [*expected, *expected[:ONE_BY_ONE]])
    if wrong := int((off > 1e-9).sum()):
        raise ReleaseError(
            f"{wrong} of {len(off)} answers differ from the model's own, by up to {off.max():.4f}. "
            "Remedy: compare what happens between request and model; look at features and fallbacks first."
        )
    return len(off)


def golden_flights(model: Path, settings: Settings, count: int) -> tuple[list[dict[str, Any]], NDArray[np.float64]]:
    """`count` flights spread over the history, as requests, and (count,) expected probabilities.

    They are the model's own; for a flight with a code that the model has never seen, its base rate.
    """
    from level2_devops.model import known_categories, load, predict

    known = history(load_flights(settings), settings.now)
    flights = known.iloc[np.linspace(0, len(known) - 1, count).astype(int)]
    fitted, card = load(model)
    unknown = np.any([~flights[name].isin(codes) for name, codes in known_categories(fitted).items()], axis=0)
    return flights_as_requests(flights), np.where(unknown, card.base_rate, predict(fitted, flights))


def post(address: str, route: str, body: Any) -> Any:
    """Send `body` as JSON to a service on loopback; returns the JSON of its answer."""
    request = urllib.request.Request(address + route, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)
