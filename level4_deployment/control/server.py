"""`make platform`: the control plane and its workers, in one command.

Workers share one listening socket. Should this process die, they leave with it; started again, it finishes what was
cut off and serves what it served before, from its verified copies, whether the registry is there or not.
"""

import argparse
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn
from filelock import FileLock, Timeout

from level2_devops.service.worker_process import address_of, open_socket
from level4_deployment.config import configure
from level4_deployment.control.auth import make_tokens
from level4_deployment.control.client import ADDRESSES, LOCK
from level4_deployment.prediction_log import open_log, url_of
from level4_deployment.serving import metrics
from level4_deployment.serving.routes import ROUTES
from level4_deployment.serving.worker import COUNTS, Worker, start_worker, stop_workers
from shared.console import console, step
from shared.errors import UserError, command
from shared.files import write_json
from shared.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient

WORKERS = 2
LONG, LONGEST_PAUSE = 30.0, 30.0  # seconds
LOOK_EVERY = 0.5  # seconds between two looks at aliases, guardrails and workers


def run_platform(settings: Settings, home: Path, workers: int, stop: threading.Event, *, approval: bool) -> None:
    """Serve until `stop` is set; raises UserError when it runs already."""
    with step("Load the libraries"):
        from level4_deployment.control.api import create_api
        from level4_deployment.control.control_plane import ControlPlane

    make_tokens(home)
    url = url_of(home)
    try:
        lock = FileLock(home / LOCK).acquire(timeout=1)
    except Timeout:
        raise UserError(f"a platform runs in {home} already. Remedy: use that one, or end it with Ctrl-C.") from None
    (home / ADDRESSES).unlink(missing_ok=True)  # of one that was ended suddenly
    with lock, open_socket() as service, open_socket() as control:
        log = open_log(url)
        crew = WorkerPool(lambda: start_worker(home, service, url), workers)  # they serve what they served before
        try:
            platform = ControlPlane(home, lambda: open_registry(settings, home), log, approval=approval)
            platform.look()
            with api_server(uvicorn.Config(create_api(platform), log_config=None, access_log=False), control):
                addresses = {"service": address_of(service), "control": address_of(control)}
                write_json(home / ADDRESSES, addresses)
                console.print(f"service: {addresses['service']} · control plane: {addresses['control']} · end: Ctrl-C")
                told = ""
                while not stop.wait(LOOK_EVERY):
                    platform.look()
                    if platform.trouble != told:
                        told = platform.trouble
                        console.print(f"trouble: {told}" if told else "the trouble is over", markup=False)
                    crew.replace_dead()
        finally:
            (home / ADDRESSES).unlink(missing_ok=True)
            crew.stop()


class WorkerPool:
    """The workers: one that has died is replaced, ever later while it does not live long."""

    def __init__(self, start: Callable[[], Worker], count: int) -> None:
        self.start = start
        self.workers = [start() for _ in range(count)]
        self.begun = [time.monotonic()] * count
        self.pauses = [0.0] * count  # seconds, before the next one
        self.due = [0.0] * count  # when the place of a dead one is taken; 0 while it lives

    def replace_dead(self) -> None:
        """Start those that are due, and say so; where that fails, on a full disk perhaps, the others serve on."""
        now = time.monotonic()
        for i, worker in enumerate(self.workers):
            if worker.alive:
                continue
            ended = not self.due[i]
            if ended:
                self._wait(i, now, now - self.begun[i], f"worker {worker.pid} has ended")
            try:
                if ended or now >= self.due[i]:
                    metrics.forget(worker.home / COUNTS, worker.pid)
                if now >= self.due[i]:
                    self.workers[i], self.begun[i], self.due[i] = self.start(), now, 0.0
            except OSError as error:
                self._wait(i, now, 0.0, f"nobody takes the place of worker {worker.pid}: {error}")

    def _wait(self, i: int, now: float, lived: float, why: str) -> None:
        self.pauses[i] = next_backoff(self.pauses[i], lived)
        self.due[i] = now + self.pauses[i]
        console.print(f"{why}; another one in {self.pauses[i]:g} s", markup=False)

    def stop(self) -> None:
        """End all of them."""
        stop_workers(self.workers)


def next_backoff(last: float, lived: float) -> float:
    """Seconds before a dead worker is replaced: none if it lived long, else twice as many as before the last."""
    return 0.0 if lived > LONG else min(2 * last or LOOK_EVERY, LONGEST_PAUSE)


def open_registry(settings: Settings, home: Path) -> "MlflowClient":
    """The registry's client; a registry is made for a platform that has never served. Raises UnavailableError."""
    from level3_training_pipeline.tracking import mlflow_runs
    from level4_deployment.control.registry_client import registry_client

    if not (home / ROUTES).exists() and not (settings.level("level3") / "mlflow.db").exists():
        mlflow_runs.open_tracking(settings)
    return registry_client(settings)


@contextmanager
def api_server(config: uvicorn.Config, listening: socket.socket) -> Iterator[None]:
    """The control plane's service, in a thread, while the block runs."""
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        while not server.started and thread.is_alive():
            time.sleep(0.02)
        yield
    finally:
        server.should_exit = True
        thread.join()


def main() -> None:
    """Serve until SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m level4_deployment.control.server", description=main.__doc__)
    parser.add_argument("--home", type=Path, help="the platform's folder; without it, level 4's state")
    parser.add_argument("--workers", type=int, default=WORKERS)
    parser.add_argument("--approval", action="store_true", help="a winner waits until a person approves of it")
    options = parser.parse_args()
    settings = configure()
    stop = threading.Event()
    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, lambda *_: stop.set())
    home = options.home or settings.level("level4")
    home.mkdir(parents=True, exist_ok=True)
    run_platform(settings, home, options.workers, stop, approval=options.approval)


if __name__ == "__main__":
    command(main)
