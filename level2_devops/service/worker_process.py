"""One process of the service: started on a socket that is already open, waited for, and ended in peace."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from level2_devops.release.store import MODEL
from shared.errors import UserError

PARENT = "SERVICE_PARENT"  # who started a service: said, for when the service can look, that process may be gone
READY_WITHIN = 60.0  # seconds
DRAINED_WITHIN = 15.0  # seconds


class WorkerError(UserError):
    """A service that did not get ready."""


@dataclass(frozen=True)
class Worker:
    """A running service of `version`; what it logs goes to the file `log`."""

    process: subprocess.Popen[bytes]
    version: str
    log: Path

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self.process.poll() is None

    def wait_ready(self, stopped: Callable[[], bool] = lambda: False) -> None:
        """Wait until this very process says in its log that it is ready; raises WorkerError.

        On a socket that two processes share, a request to /ready could be answered by the other one.
        """
        until = time.monotonic() + READY_WITHIN
        while not (told := self._told()):
            if stopped():
                raise WorkerError(f"the service of {self.version} is ended before it was ready, as was asked")
            if not self.alive or time.monotonic() > until:
                status = self.process.poll()
                why = f"is not ready after {READY_WITHIN:g} s" if status is None else f"ended with {status}"
                raise WorkerError(f"the service of {self.version} {why}. Remedy: see {self.log}")
            time.sleep(0.02)
        if told["event"] != "ready":
            raise WorkerError(f"the service of {self.version} is not ready: {told['reason']}")

    def stop(self) -> None:
        """Ask it to finish what is in flight and end; kill it when it does not."""
        if sys.platform == "win32":
            self.process.send_signal(signal.CTRL_BREAK_EVENT)
        else:
            self.process.terminate()
        try:
            self.process.wait(DRAINED_WITHIN)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _told(self) -> dict[str, str] | None:
        """The line that the service logs once it has started: ready, or not ready with the reason."""
        lines = [json.loads(line) for line in self.log.read_text().split("\n")[:-1] if line.startswith("{")]
        return next((line for line in lines if line["event"] in {"ready", "not ready"}), None)


def start_worker(app: Path, version: str, listening: socket.socket, log: Path) -> Worker:
    """Start the service from the release in `app`; it inherits the socket."""
    log.parent.mkdir(parents=True, exist_ok=True)
    listening.set_inheritable(True)
    words = ["--model", MODEL, "--version", version, "--fd", str(listening.fileno())]
    # In the environment, for a release made before this was said can still be gone back to. On Windows, .venv's Python
    # is a process between this one and the service, which finds its parent by itself.
    parent = {} if sys.platform == "win32" else {PARENT: str(os.getpid())}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "level2_devops.service", *words],
            cwd=app,
            env=clean_environment() | parent,
            close_fds=False,  # `pass_fds` would say it better, but Windows has none; other files do not inherit anyway
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),  # Windows: what CTRL_BREAK_EVENT needs
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    return Worker(process, version, log)


@contextmanager
def running(worker: Worker) -> Iterator[Worker]:
    """End the worker with the block."""
    try:
        yield worker
    finally:
        worker.stop()


def open_socket(port: int = 0) -> socket.socket:
    """A listening socket on loopback; port 0 takes a free one. Raises UserError for a port in use."""
    try:
        return socket.create_server(("127.0.0.1", port), backlog=1024)
    except OSError as error:
        raise UserError(f"port {port} cannot be had: {error.strerror}. Remedy: leave --port out.") from error


def address_of(listening: socket.socket) -> str:
    """The address to give to people."""
    return f"http://127.0.0.1:{listening.getsockname()[1]}"


def clean_environment() -> dict[str, str]:
    """The environment of processes that run from a release: no code from elsewhere, and nothing written into it."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return kept | one_thread | {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}
