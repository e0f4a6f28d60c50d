"""A Prefect server on loopback, for as long as any command needs it."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import psutil
from filelock import FileLock

from level3_training_pipeline.orchestration.process_identity import has_ended, still_runs, this_process
from shared.console import step
from shared.errors import UserError
from shared.files import write_json
from shared.settings import Settings

START_LIMIT = 90  # seconds; a first start makes the server's database, about 15 s on two cores


class ServerError(UserError):
    """A server did not come up, or ended."""


@dataclass(frozen=True)
class PrefectServer:
    """The server's process and address (`http://127.0.0.1:…`)."""

    pid: int
    address: str
    log: str

    @property
    def api(self) -> str:
        """The address for PREFECT_API_URL."""
        return f"{self.address}/api"

    def healthy(self) -> bool:
        """Whether it answers now."""
        try:
            with urllib.request.urlopen(f"{self.api}/health", timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def wait(self) -> None:
        """Return when it answers; raises ServerError when it has ended or takes too long."""
        until = time.monotonic() + START_LIMIT
        while not self.healthy():
            if has_ended(self.pid) or time.monotonic() > until:
                raise ServerError(
                    f"the Prefect server (process {self.pid}) does not answer at {self.address}. "
                    f"Remedy: see {self.log}; then give the same command again."
                )
            time.sleep(0.1)


@contextmanager
def prefect_server(settings: Settings) -> Iterator[PrefectServer]:
    """Start a server, or join the one that another command has started; the last to leave stops it.

    It is given at once, still starting: other work can be done before `wait()`.
    """
    folder = settings.level("level3") / "prefect"
    mine = folder / "users" / uuid4().hex
    mine.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "server.lock")
    process = None
    with lock:
        server = _running(folder)
        if server is None:
            server, process = _start(folder)
        mine.write_text(this_process())
    try:
        yield server
    finally:
        with lock:
            mine.unlink()
            if not _is_used(folder):
                with step("End the Prefect server"):
                    _stop(server)
        if process:
            process.poll()


def running_server(settings: Settings) -> PrefectServer | None:
    """The server that some command has up at this moment, if any."""
    return _running(settings.level("level3") / "prefect")


def free_port() -> int:
    """A loopback port that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _running(folder: Path) -> PrefectServer | None:
    record = folder / "server.json"
    if not record.exists():
        return None
    server = PrefectServer(**json.loads(record.read_text()))
    return server if server.address.rpartition(":")[2] in _command(server.pid) else None


def _command(pid: int) -> list[str]:
    """The process's command line, in which our server has its port; empty when there is no such process."""
    try:
        return psutil.Process(pid).cmdline()
    except psutil.NoSuchProcess:
        return []


def _start(folder: Path) -> tuple[PrefectServer, "subprocess.Popen[bytes]"]:
    port, log = free_port(), folder / "server.log"
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with log.open("ab") as output:
        # A session of its own: Ctrl-C reaches this command, which then stops the server in order.
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            env=os.environ | {"PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "INFO"},  # to its log
            start_new_session=True,
        )
    server = PrefectServer(process.pid, f"http://127.0.0.1:{port}", str(log))
    write_json(folder / "server.json", server.__dict__)
    return server, process


def _is_used(folder: Path) -> bool:
    """Whether a command uses the server now; what killed ones left behind is cleared away.

    The server is of this machine, and so are its users: a machine's name may change with the network it is in.
    """
    for file in (folder / "users").iterdir():
        if not still_runs(file.read_text(), elsewhere=False):
            file.unlink()
    return any((folder / "users").iterdir())


def _stop(server: PrefectServer) -> None:
    try:
        process = psutil.Process(server.pid)
        process.terminate()
        process.wait(timeout=15)
    except psutil.NoSuchProcess:
        return
    except psutil.TimeoutExpired:
        process.kill()
