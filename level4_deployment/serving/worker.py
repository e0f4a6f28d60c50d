"""One process of the data plane: `python -m level4_deployment.serving.worker`, on a shared listening socket."""

import argparse
import gc
import os
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from level2_devops.service.worker_process import DRAINED_WITHIN, wait_ready
from level4_deployment.serving.routes import WORKERS, read_status
from shared.environment import begin
from shared.errors import command, on_end
from shared.processes.children import Process, start, stop

SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # where all workers count; prometheus_client reads it when it is imported
LOG_URL = "PREDICTION_LOG"  # the variable that `prediction_log.url_of` reads
COUNTS = "metrics"  # the folder of the workers' common counters, in the platform's folder


@dataclass(frozen=True)
class Worker:
    """A running worker of the platform in `home`; its output goes to worker.log there."""

    home: Path
    process: Process

    @property
    def pid(self) -> int:
        """The process's id."""
        return self.process.pid

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self.process.poll() is None

    def status(self) -> dict[str, Any] | None:
        """What it serves, as it published it; None before it is ready and after it has stopped."""
        return read_status(self.home / WORKERS / f"{self.pid}.json")

    def wait_ready(self) -> None:
        """Return when it is ready; raises UserError."""
        wait_ready(self.process, self.status, f"worker {self.pid}", self.home / "worker.log")

    def stop(self) -> None:
        """Stop it gracefully, or kill it."""
        stop_workers([self])


def start_worker(home: Path, listening: socket.socket, log_url: str) -> Worker:
    """Start one worker, which inherits the socket; it is ready when `wait_ready` returns."""
    (home / COUNTS).mkdir(parents=True, exist_ok=True)
    listening.set_inheritable(True)
    words = ["--home", str(home), "--fd", str(listening.fileno())]
    # The URL may hold a password, so it is not among the words, which `ps` shows.
    own = {LOG_URL: log_url, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    module = ["level4_deployment.serving.worker"]
    return Worker(home, start(module + words, home / "worker.log", os.environ | own))


def forget_workers(home: Path) -> None:
    """Remove status and gauges of a killed platform's workers, which leave with it; their counters remain."""
    for file in (*(home / COUNTS).glob("gauge_live*.db"), *(home / WORKERS).glob("[0-9]*.json")):
        file.unlink(missing_ok=True)  # its workers leave within seconds, and may remove it themselves


def stop_workers(workers: list[Worker]) -> None:
    """Stop all workers at once, gracefully; kill those that do not end."""
    stop([worker.process for worker in workers], DRAINED_WITHIN)


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m level4_deployment.serving.worker", description=main.__doc__)
    parser.add_argument("--home", type=Path, required=True, help="the platform's folder")
    parser.add_argument("--fd", type=int, required=True, help="an inherited listening socket")
    options = parser.parse_args()

    os.environ.update({SHARED_FOLDER: str(options.home / COUNTS), "ORT_DISABLE_TELEMETRY": "1"})
    from level2_devops.service.observability import log_as_json
    from level2_devops.service.uvicorn_server import GracefulServer
    from level4_deployment.prediction_log import open_log, url_of
    from level4_deployment.serving.app import create_app

    log_as_json()
    on_end(lambda: None)  # uvicorn raises the signal again once it has stopped
    with open_log(url_of(options.home)) as log:
        server = GracefulServer(create_app(options.home, log), "platform")
        gc.collect()
        gc.freeze()  # the libraries' objects stay until the end: searching them takes 50 ms at each collection
        server.run([socket.socket(fileno=options.fd)])
    sys.stdout.flush()
    os._exit(0)  # a challenger's run may hang in a thread: an orderly exit beneath it could crash


if __name__ == "__main__":
    begin()
    command(main)
