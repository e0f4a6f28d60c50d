"""A Prefect server on loopback, which commands share: it runs as long as one of them needs it.

    python -m level3_training_pipeline.orchestration.prefect_server FOLDER WORDS…

is its process: `prefect server start WORDS…`, which ends when no command uses it any more, even if all of them were
killed. Its users are the processes in the files of FOLDER/users.
"""

import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import uuid4

import psutil
from filelock import FileLock

from level2_devops.service.guarded import guard
from shared.console import step
from shared.errors import UserError
from shared.files import StateError, read_json, write_json
from shared.processes.process_identity import find, identity, number_of, still_runs, this_process
from shared.settings import PROJECT, Settings
from shared.waiting import comes_up, free_port

GUARDED = "level2_devops.service.guarded"  # the module that runs a library's server with checks of its callers
RECORD = "server.json"  # the server's process and address, as long as commands may join it
POLL_EVERY = 1.0  # seconds
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

    The block gets it while it still starts, and can do other work before `wait()`.
    """
    folder = settings.level("level3") / "prefect"
    mine = folder / "users" / uuid4().hex
    mine.parent.mkdir(parents=True, exist_ok=True)
    lock, process = _users_lock(folder), None
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
            [sys.executable, "-m", __name__, str(folder), "--host", "127.0.0.1", "--port", str(port)],
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


def _users_lock(folder: Path) -> FileLock:
    """Held while a command joins or leaves, and while the server looks whether one is left."""
    return FileLock(folder / "server.lock")


def is_used(folder: Path) -> bool:
    """Whether a command uses the server now; the files of commands that were killed are removed.

    All users run on this machine, whose name may change with the network.
    """
    for file in (folder / "users").iterdir():
        if not still_runs(file.read_text()):
            file.unlink()
    return any((folder / "users").iterdir())


def _end_with_users(folder: Path) -> None:
    used = True
    while used:
        time.sleep(POLL_EVERY)
        with _users_lock(folder):
            if not (used := is_used(folder)):
                (folder / RECORD).unlink(missing_ok=True)  # so that the next command starts another one
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    """Run the server."""
    threading.Thread(target=_end_with_users, args=[Path(sys.argv[1])], daemon=True).start()
    sys.argv = ["prefect", "server", "start", *sys.argv[2:]]
    guard()
    runpy.run_module("prefect", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
