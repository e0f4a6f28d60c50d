"""A Prefect server on loopback, which commands share: it runs as long as one of them needs it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import uuid4

import psutil

from level3_training_pipeline.orchestration.shared_server import RECORD, is_used, users_lock
from shared.console import step
from shared.errors import UserError
from shared.files import StateError, read_json, write_json
from shared.processes.process_identity import find, identity, number_of, still_runs, this_process
from shared.settings import PROJECT, Settings
from shared.waiting import comes_up, free_port

GUARDED = "level2_devops.service.guarded"  # the module that runs a library's server with checks of its callers
SHARED_SERVER = "level3_training_pipeline.orchestration.shared_server"
START_LIMIT = 90  # seconds; the first start makes the server's database, which takes about 15 s on two cores


class ServerError(UserError):
    """A server did not start, or ended."""


@dataclass(frozen=True)
class PrefectServer:
    """The server's process, by its identity, and its address (`http://127.0.0.1:…`)."""

    process: str
    address: str
    log: str

    @property
    def api(self) -> str:
        """The address for PREFECT_API_URL."""
        return f"{self.address}/api"

    @property
    def health(self) -> str:
        """The address at which it answers once it is up."""
        return f"{self.api}/health"

    def wait(self) -> None:
        """Return when it answers; raises ServerError when it has ended or takes too long."""
        if not comes_up(self.health, START_LIMIT, lambda: not still_runs(self.process)):
            raise ServerError(
                f"the Prefect server (process {number_of(self.process)}) does not answer at {self.address}. "
                f"Remedy: see {self.log}; then give the same command again."
            )


@contextmanager
def prefect_server(settings: Settings) -> Iterator[PrefectServer]:
    """Start a server, or join the one that another command has started; the last command to leave stops it.

    When all commands are killed, it ends by itself.

    The block gets it while it still starts, and can do other work before `wait()`.
    """
    folder = settings.level("level3") / "prefect"
    mine = folder / "users" / uuid4().hex
    mine.parent.mkdir(parents=True, exist_ok=True)
    lock = users_lock(folder)
    process = None
    with lock:
        server = running_server(settings)
        if server is None:
            server, process = _start(folder)
        mine.write_text(this_process())
    try:
        yield server
    finally:
        with lock:
            mine.unlink()
            if not is_used(folder):
                with step("End the Prefect server"):
                    _stop(server)
        if process:
            process.poll()


def running_server(settings: Settings) -> PrefectServer | None:
    """The server that another command runs now, if there is one."""
    record = settings.level("level3") / "prefect" / RECORD
    try:
        server = read_json(record, PrefectServer, "give the same command again")
    except (FileNotFoundError, StateError):  # without its record none can be joined; it ends with its users
        return None
    return server if still_runs(server.process) else None


def _start(folder: Path) -> tuple[PrefectServer, "subprocess.Popen[bytes]"]:
    port, log = free_port(), folder / "server.log"
    own = {
        "PYTHONPATH": str(PROJECT),  # it starts in another folder
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "INFO",  # to its log
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": f"http://127.0.0.1:{port}",  # else any page may read what it holds
        "PREFECT_SERVER_UI_API_URL": f"http://127.0.0.1:{port}/api",  # else its pages look on port 4200
        "PREFECT_SERVER_UI_V2_ENABLED": "false",  # the newer pages call an analytics service
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    }
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", SHARED_SERVER, str(folder), "--host", "127.0.0.1", "--port", str(port)],
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            cwd=folder,  # it reads .env, prefect.toml and pyproject.toml of the folder in which it starts
            env=os.environ | own,
            start_new_session=True,  # so that Ctrl-C reaches this command only, which then stops the server
        )
    server = PrefectServer(identity(process.pid), f"http://127.0.0.1:{port}", str(log))
    write_json(folder / RECORD, asdict(server))
    return server, process


def _stop(server: PrefectServer) -> None:
    with suppress(psutil.NoSuchProcess):
        if process := find(server.process):
            process.terminate()
            try:
                process.wait(timeout=15)
            except psutil.TimeoutExpired:
                process.kill()
