"""A service process: start it, on a socket that is already open, and wait until it is ready.

Level 2's supervisor and level 4's platform share these functions. Here is also level 2's own `Worker`.
"""

import json
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from shared.environment import cleaned
from shared.errors import UserError
from shared.processes.children import Process, start, stop
from shared.waiting import wait_until

MODEL = "model"  # the folder of the model inside a release
READY_WITHIN, DRAINED_WITHIN = 90.0, 15.0  # seconds
Result = TypeVar("Result")


@dataclass(frozen=True)
class Worker:
    """A running service of the release `version`; its output goes to the file `log`."""

    process: Process
    version: str
    log: Path

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self.process.poll() is None

    def wait_ready(self) -> None:
        """Wait until this very process reports in its log that it is ready; raises UserError.

        On a socket that two processes share, the other one could answer a request to /ready.
        """
        name = f"the service of {self.version}"
        line = wait_ready(self.process, self._ready_line, name, self.log)
        if line["event"] != "ready":
            raise UserError(f"{name} is not ready: {line['reason']}")

    def stop(self) -> None:
        """Stop it gracefully, or kill it."""
        stop([self.process], DRAINED_WITHIN)

    def _ready_line(self) -> dict[str, str] | None:
        """The line that the service prints once it has started: ready, or not ready with the reason."""
        lines = [json.loads(line) for line in self.log.read_text().split("\n")[:-1] if line.startswith("{")]
        return next((line for line in lines if line["event"] in {"ready", "not ready"}), None)


def start_worker(app: Path, version: str, listening: socket.socket, log: Path) -> Worker:
    """Start the service from the release in the folder `app`, on the socket."""
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_bytes(b"")
    listening.set_inheritable(True)
    words = ["level2_devops.service", "--model", MODEL, "--version", version, "--fd", str(listening.fileno())]
    return Worker(start(words, log, release_environment(), app), version, log)


def wait_ready(process: Process, ready: Callable[[], Result | None], name: str, log: Path) -> Result:
    """The first true result of `ready`; raises UserError when the process ends or takes too long."""

    def running_and_ready() -> Result | None:
        if process.poll() is not None:
            raise UserError(f"{name} ended with {process.returncode}. Remedy: see {log}")
        return ready()

    try:
        return wait_until(running_and_ready, READY_WITHIN, pause=0.02)
    except TimeoutError:
        raise UserError(f"{name} is not ready after {READY_WITHIN:g} s. Remedy: see {log}") from None


def open_socket() -> socket.socket:
    """A listening socket on loopback, on a free port."""
    return socket.create_server(("127.0.0.1", 0), backlog=1024)


def address_of(listening: socket.socket) -> str:
    """The URL of the socket."""
    return f"http://127.0.0.1:{listening.getsockname()[1]}"


def release_environment() -> dict[str, str]:
    """The environment for processes that run from a release: no code from elsewhere, and no file written into it."""
    kept = {name: value for name, value in cleaned(os.environ).items() if name != "PYTHONPATH"}
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return kept | one_thread | {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}
