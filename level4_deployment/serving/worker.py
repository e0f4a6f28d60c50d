"""One process of the data plane: `python -m level4_deployment.serving.worker`, on a shared listening socket."""

import argparse
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from level4_deployment.serving.metrics import SHARED_FOLDER
from level4_deployment.serving.routes import WORKERS
from shared.errors import UserError, command

READY_WITHIN, DRAINED_WITHIN = 60.0, 15.0  # seconds
LOG_URL = "PREDICTION_LOG"  # as `log.url_of` reads it
COUNTS = "metrics"  # the folder of the workers' common counters, in the platform's


@dataclass(frozen=True)
class Worker:
    """A running worker of the platform in `home`; what it says goes to worker.log there."""

    home: Path
    process: "subprocess.Popen[bytes]"

    @property
    def pid(self) -> int:
        """Of its process."""
        return self.process.pid

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.process.poll() is None

    def status(self) -> dict[str, Any] | None:
        """What it serves, as it says itself; None before it is up and after it has left."""
        try:
            return json.loads((self.home / WORKERS / f"{self.pid}.json").read_text())
        except FileNotFoundError:
            return None

    def wait_ready(self) -> None:
        """Return when it is up; raises UserError."""
        until = time.monotonic() + READY_WITHIN
        while self.status() is None:
            if not self.alive or time.monotonic() > until:
                raise UserError(f"worker {self.pid} is not up. Remedy: see {self.home / 'worker.log'}")
            time.sleep(0.02)

    def stop(self) -> None:
        """Ask it to finish what is in flight and end; kill it when it does not."""
        stop_workers([self])


def start_worker(home: Path, listening: socket.socket, log_url: str) -> Worker:
    """Start one worker, which inherits the socket; it is up when `wait_ready` returns."""
    listening.set_inheritable(True)
    counts = home / COUNTS
    counts.mkdir(parents=True, exist_ok=True)
    words = ["--home", str(home), "--fd", str(listening.fileno()), "--parent", str(os.getpid())]
    named = {
        SHARED_FOLDER: str(counts),
        LOG_URL: log_url,
    }  # not among the words, which `ps` shows: it may hold a password
    with (home / "worker.log").open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "level4_deployment.serving.worker", *words],
            env=os.environ | named | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
            close_fds=False,  # `pass_fds` would say it better, but Windows has none; other files do not inherit anyway
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    return Worker(home, process)


def start_workers(home: Path, listening: socket.socket, count: int, log_url: str) -> list[Worker]:
    """Start several."""
    return [start_worker(home, listening, log_url) for _ in range(count)]


def stop_workers(workers: list[Worker]) -> None:
    """Ask all at once to finish what is in flight and end; kill those that do not."""
    for worker in workers:
        worker.process.terminate()
    until = time.monotonic() + DRAINED_WITHIN
    for worker in workers:
        try:
            worker.process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            worker.process.kill()
            worker.process.wait()


def main() -> None:
    """Serve until SIGTERM, or until the parent is gone."""
    parser = argparse.ArgumentParser(prog="python -m level4_deployment.serving.worker", description=main.__doc__)
    parser.add_argument("--home", type=Path, required=True, help="the platform's folder")
    parser.add_argument("--fd", type=int, required=True, help="an inherited listening socket")
    parser.add_argument("--parent", type=int, required=True, help="the process that it ends with")
    options = parser.parse_args()

    from filelock import FileLock

    from level2_devops.service.graceful_server import GracefulServer
    from level2_devops.service.observability import log_as_json
    from level4_deployment.prediction_log import open_log, url_of
    from level4_deployment.serving.app import create_app

    log_as_json()
    for sign in (signal.SIGTERM, signal.SIGINT):  # uvicorn raises the signal again once it has stopped
        signal.signal(sign, lambda *_: None)
    with FileLock(options.home / "log.lock"):  # whoever is first makes the tables
        log = open_log(url_of(options.home))
    server = GracefulServer(create_app(options.home, log), options.parent)
    gc.collect()
    gc.freeze()  # what the libraries have made is here to stay: looking through it takes 50 ms each time
    server.run([socket.socket(fileno=options.fd)])
    sys.stdout.flush()
    os._exit(0)  # a challenger's run may hang in a thread: tearing the libraries down beneath it could crash


if __name__ == "__main__":
    command(main)
