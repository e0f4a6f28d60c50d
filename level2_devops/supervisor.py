"""`python -m level2_devops.supervisor`: keep one address served while releases change and workers crash behind it.

This process owns the listening socket and never touches a request. Each worker inherits the socket, so a new one
accepts beside the old one before the old one is asked to leave, and no connection is ever refused.
"""

import argparse
import os
import signal
import socket
import threading
import time
from dataclasses import asdict

from filelock import Timeout

from level2_devops.release.service_status import STATE, ServiceStatus, read_service_status, service_lock
from level2_devops.release.store import Current, ReleaseError, Store
from level2_devops.service.worker_process import Worker, WorkerError, address_of, open_socket, start_worker
from shared.console import console, step
from shared.errors import UserError, command
from shared.files import write_json
from shared.settings import Settings, read_settings

LONGEST_WAIT = 5.0  # seconds between the end of a worker and the start of the next
SETTLED = 30.0  # seconds that a worker must live for its end to count as the first


class Supervisor:
    """Follows the pointer to the current release, and starts a worker again that ended by itself."""

    def __init__(self, store: Store, listening: socket.socket, stop: threading.Event) -> None:
        self.store, self.listening, self.stop = store, listening, stop
        self.address = address_of(listening)
        self.ends = 0  # in a row
        self.started = 0
        current = store.current()
        if current is None:
            raise ReleaseError("nothing is released yet. Remedy: make release.")
        with step(f"Start {current.version}"):
            self.worker = self._start(current.version)
        self._tell(current, None)

    def follow(self) -> None:
        """Until `stop`: look ten times a second whether there is something to do. Then end the worker in peace."""
        try:
            while not self.stop.wait(0.1):
                wanted = self.store.current()
                if wanted is not None and wanted.change != self.current.change:
                    self._move(wanted)
                elif not self.worker.alive:
                    self._start_again()
        finally:
            self.worker.stop()

    def _move(self, to: Current) -> None:
        """Serve `to` in place of what serves now, or keep that and say why."""
        old, refused = self.worker, None
        if to.version != old.version or not old.alive:
            try:
                self.worker = self._start(to.version)
            except UserError as error:
                refused = str(error)
            else:
                threading.Thread(target=old.stop).start()  # it drains while the new one answers
        self._tell(to, refused)

    def _start_again(self) -> None:
        """Start the same release once more; the oftener it ends, the longer the wait before."""
        lived = time.monotonic() - self.began
        self.ends = 1 if lived > SETTLED else self.ends + 1
        wait = min(0.1 * 2**self.ends, LONGEST_WAIT)
        status = self.worker.process.returncode
        self._say(f"{self.worker.version} ended with {status}; starting it again in {wait:.1f} s")
        if self.stop.wait(wait):
            return
        try:
            self.worker = self._start(self.worker.version)
        except UserError as error:
            self._say(str(error))
        else:
            self._tell(self.current, None)

    def _start(self, version: str) -> Worker:
        """A worker that is ready; raises UserError when its files were touched or it does not get ready."""
        from level2_devops.release.artefact import verify  # with pandas, which takes a moment

        self.began = time.monotonic()
        app = self.store.app(version)
        verify(app, self.store.manifest_digest(version))
        self.started += 1
        worker = start_worker(app, version, self.listening, self.store.home / "logs" / f"serve-{self.started}.log")
        try:
            worker.wait_ready(self.stop.is_set)
        except BaseException:
            worker.stop()
            raise
        return worker

    def _tell(self, current: Current, refused: str | None) -> None:
        """Publish what serves now, for those that release; and say it."""
        self.current = current
        worker = self.worker
        state = ServiceStatus(self.address, worker.version, current.change, refused, os.getpid(), worker.process.pid)
        write_json(self.store.home / STATE, asdict(state))
        self._say(f"{self.worker.version} serves on{f', for {refused}' if refused else ''}")

    def _say(self, what: str) -> None:
        console.print(f"{time.strftime('%H:%M:%S')} {self.address} {what}")


def serve(settings: Settings, port: int, stop: threading.Event) -> None:
    """Serve the current release on 127.0.0.1 until `stop` is set; port 0 takes a free one."""
    store = Store(settings.level("level2"))
    try:
        lock = service_lock(store).acquire(timeout=1)
    except Timeout:
        at = read_service_status(store)
        where = f"at {at.address} by process {at.pid}" if at else "by another process"
        raise UserError(f"it is already served {where}. Remedy: use that, or end it with Ctrl-C.") from None
    with lock, open_socket(port) as listening:
        try:
            (store.home / STATE).unlink(missing_ok=True)
            Supervisor(store, listening, stop).follow()
        except WorkerError:
            if not stop.is_set():  # else it was ended while it started, as was asked
                raise
        finally:
            (store.home / STATE).unlink(missing_ok=True)


def main() -> None:
    """Serve until SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m level2_devops.supervisor", description=main.__doc__)
    parser.add_argument("--port", type=int, default=0, help="on 127.0.0.1; without it, a free one")
    options = parser.parse_args()
    stop = threading.Event()
    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, lambda *_: stop.set())
    serve(read_settings(), options.port, stop)


if __name__ == "__main__":
    command(main)
