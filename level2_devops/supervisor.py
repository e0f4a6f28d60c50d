"""The supervisor keeps one address served while releases change and workers crash.

This process owns the listening socket and never reads a request. Each worker inherits the socket: a new worker accepts
connections beside the old one before the old one is stopped, so no connection is ever refused.
"""

import socket
import threading
import time
from dataclasses import asdict

from level2_devops.release.service_status import STATE, ServiceStatus
from level2_devops.release.store import Current, ReleaseError, Store
from level2_devops.service.worker_process import Worker, address_of, open_socket, start_worker
from shared.console import console, step
from shared.errors import UserError
from shared.files import StateError, keep_json, write_json
from shared.processes.process_identity import this_process
from shared.settings import Settings

SHORTEST_WAIT, LONGEST_WAIT = 0.2, 5.0  # seconds between the end of a worker and the start of the next


class Supervisor:
    """Follows what the history says is current, and restarts a worker that ended unexpectedly."""

    def __init__(self, store: Store, listening: socket.socket) -> None:
        self.store, self.listening = store, listening
        self.address = address_of(listening)
        self.unreadable = ""  # why the history cannot be read
        self.started = 0  # workers
        self.wait = SHORTEST_WAIT
        current = store.current()
        if current is None:
            raise ReleaseError("nothing is released yet. Remedy: make release.")
        with step(f"Start {current.version}"):
            self.worker = self._start(current.version)
        self._publish(current, None)
        from level2_devops.service.requests import example  # with pandas, which takes a moment

        console.print(f"In a browser, {self.address} has pages. In a terminal:\n{example(self.address)}")

    def follow(self) -> None:
        """Check ten times a second whether the release changed or the worker ended, until Ctrl-C."""
        try:
            while True:
                time.sleep(0.1)
                wanted = self._wanted()
                if wanted is not None and wanted.change != self.current.change:
                    self._switch(wanted)
                elif not self.worker.alive:
                    self._start_again()
                if keep_json(self.store.home / STATE, asdict(self.state)):
                    self._log(f"{STATE} was garbled or gone, and is written again")
        finally:
            self.worker.stop()

    def _wanted(self) -> Current | None:
        """The current release; None, and a line in the log, while the history cannot be read."""
        try:
            wanted, self.unreadable = self.store.current(), ""
        except StateError as error:
            if self.unreadable != (reason := str(error)):
                self._log(f"{self.worker.version} keeps serving: {reason}")
            wanted, self.unreadable = None, str(error)
        return wanted

    def _switch(self, to: Current) -> None:
        """Replace the worker by one of the release `to`, or keep it and publish why."""
        old, refused = self.worker, None
        if to.version != old.version or not old.alive:
            try:
                self.worker = self._start(to.version)
            except UserError as error:
                refused = str(error)
            else:
                threading.Thread(target=old.stop).start()  # it drains while the new one answers
        self._publish(to, refused)

    def _start_again(self) -> None:
        """Start the same release again, as often as it ends; the wait doubles as long as it does not start."""
        status = self.worker.process.returncode
        self.worker.stop()  # what is left of it
        self._log(f"{self.worker.version} ended with {status}; starting it again in {self.wait:.1f} s")
        time.sleep(self.wait)
        try:
            self.worker = self._start(self.worker.version)
        except UserError as error:
            self.wait = min(2 * self.wait, LONGEST_WAIT)
            self._log(str(error))
        else:
            self.wait = SHORTEST_WAIT
            self._publish(self.current, None)

    def _start(self, version: str) -> Worker:
        """A worker that is ready; raises UserError when its files were changed or it does not become ready."""
        from level2_devops.release.artefact import verify  # with pandas, which takes a moment

        app = self.store.app(version)
        verify(app, self.store.manifest_digest(version))
        self.started += 1
        worker = start_worker(app, version, self.listening, self.store.home / "logs" / f"serve-{self.started}.log")
        try:
            worker.wait_ready()
        except BaseException:
            worker.stop()
            raise
        return worker

    def _publish(self, current: Current, refused: str | None) -> None:
        """Write which release serves now, for `release` and `rollback`, and print it."""
        self.current = current
        worker = self.worker
        about = this_process(), worker.process.pid
        self.state = ServiceStatus(self.address, worker.version, current.change, refused, *about)
        write_json(self.store.home / STATE, asdict(self.state))
        self._log(f"{self.worker.version} serves{f'; refused: {refused}' if refused else ''}")

    def _log(self, event: str) -> None:
        console.print(f"{time.strftime('%H:%M:%S')} {self.address} {event}")


def serve(settings: Settings) -> None:
    """Serve the current release on a free port of 127.0.0.1 until Ctrl-C."""
    store = Store(settings.level("level2"))
    status = store.home / STATE
    with open_socket() as listening:
        try:
            status.unlink(missing_ok=True)  # of a service that was killed
            Supervisor(store, listening).follow()
        finally:
            status.unlink(missing_ok=True)
