"""The platform's process, `python -m level4_deployment platform`: the control plane and its pool of workers.

The workers share one listening socket. If this process dies, they end with it. Started again, it finishes what was cut
off, and serves what it served before from its verified copies, whether the registry is there or not.
"""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
import uvicorn
from filelock import FileLock, Timeout
from prometheus_client.multiprocess import mark_process_dead
from starlette.types import ASGIApp

from level2_devops.service.pages import curl
from level2_devops.service.uvicorn_server import server_config
from level2_devops.service.worker_process import address_of, open_socket
from level4_deployment.control import audit
from level4_deployment.control.auth import make_tokens
from level4_deployment.control.client import ADDRESSES, LOCK
from level4_deployment.prediction_log import AUDIT, open_log, url_of
from level4_deployment.serving.worker import COUNTS, Worker, forget_workers, start_worker, stop_workers
from shared.console import console, step
from shared.errors import UserError, on_end
from shared.files import keep_json, write_json
from shared.processes.process_identity import this_process
from shared.settings import Settings
from shared.waiting import wait_until

LONGEST_PAUSE, STABLE_AFTER = 30.0, 60.0  # seconds
POLL_EVERY = 0.5  # seconds between two looks at aliases, guardrails and workers
UP_WITHIN = 30.0  # seconds, for the control plane's service


def serve(settings: Settings, home: Path, workers: int, *, approval: bool) -> None:
    """Serve in the folder `home` until SIGTERM or Ctrl-C; raises UserError when a platform runs there already."""
    stop = threading.Event()
    on_end(stop.set)
    make_tokens(home)
    url = url_of(home)
    try:
        lock = FileLock(home / LOCK).acquire(timeout=1)
    except Timeout:
        raise UserError(f"a platform runs in {home} already. Remedy: use that one, or end it with Ctrl-C.") from None
    (home / ADDRESSES).unlink(missing_ok=True)  # of a platform that was killed: at once, or a client would use it
    with lock, open_socket() as service, open_socket() as control, open_log(url) as log:
        with step("Load the libraries"):
            from level4_deployment.control.api import create_api
            from level4_deployment.control.control_plane import ControlPlane
            from level4_deployment.control.registry_client import ModelRegistry, open_client
            from level4_deployment.serving.description import example
        forget_workers(home)
        pool = WorkerPool(lambda: start_worker(home, service, url), workers)  # they serve what they served before
        try:
            registry = ModelRegistry(lambda: open_client(settings, home), home)
            platform = ControlPlane(home, registry, log, approval=approval)
            platform.poll()
            with api_server(create_api(platform), control):
                addresses = {"service": address_of(service), "control": address_of(control), "process": this_process()}
                write_json(home / ADDRESSES, addresses)
                console.print(f"service: {addresses['service']} · control plane: {addresses['control']} · end: Ctrl-C")
                console.print("Both have pages. In another terminal, the second command once a version serves:")
                console.print(curl(f"{addresses['control']}/status"), soft_wrap=True)
                console.print(example(addresses["service"]), soft_wrap=True)
                shown = Shown(platform.log)
                while not stop.wait(POLL_EVERY):
                    platform.poll()
                    shown.update(platform.degraded)
                    pool.replace_dead()
                    if keep_json(home / ADDRESSES, addresses):
                        console.print(f"{ADDRESSES} was garbled or gone, and is written again")
        finally:
            (home / ADDRESSES).unlink(missing_ok=True)
            pool.stop()


class Shown:
    """What the platform's terminal shows while it runs: a line for each action, and what is wrong."""

    def __init__(self, log: sa.Engine) -> None:
        self.log, self.degraded = log, ""
        self.begun, self.last = time.time(), 0  # last: the number of the newest action that was printed

    def update(self, degraded: str) -> None:
        """Print the actions that were done since the last call, and what has become wrong or is right again."""
        with suppress(sa.exc.SQLAlchemyError):  # then the platform is degraded, and the next call prints them
            new = AUDIT.c.at > self.begun, AUDIT.c.number > self.last
            for one in audit.trail(self.log, *new, AUDIT.c.status == audit.DONE):
                at = time.strftime("%H:%M:%S", time.localtime(one["at"]))
                console.print(f"{at} {audit.describe(one)}, by {one['actor']}: {one['reason']}")
                self.last = one["number"]
        if degraded != self.degraded:
            self.degraded = degraded
            console.print(f"degraded: {degraded}" if degraded else "no longer degraded")


@dataclass
class Place:
    """A worker's place in the pool. pause: the seconds after its start in which it is not replaced."""

    worker: Worker
    begun: float
    pause: float = 0.0


class WorkerPool:
    """Keeps workers running: a dead one is replaced at once, and after ever longer pauses if its place keeps dying."""

    def __init__(self, start: Callable[[], Worker], count: int) -> None:
        self.start = start
        self.places = [Place(start(), time.monotonic()) for _ in range(count)]

    @property
    def workers(self) -> list[Worker]:
        """The workers, dead ones included until they are replaced."""
        return [place.worker for place in self.places]

    def replace_dead(self) -> None:
        """Start the workers that are due, and print it; if one cannot start, on a full disk perhaps, the rest go on."""
        now = time.monotonic()
        for place in self.places:
            dead, lived = place.worker, now - place.begun
            if dead.alive or lived < place.pause:
                continue
            place.pause, place.begun = next_pause(place.pause, lived), now
            try:
                dead.stop()  # what is left of it
                mark_process_dead(dead.pid, str(dead.home / COUNTS))  # its counters remain
                place.worker = self.start()
                console.print(f"worker {dead.pid} has ended; worker {place.worker.pid} takes its place")
            except OSError as error:
                console.print(f"worker {dead.pid} cannot be replaced: {error}; another attempt in {place.pause:g} s")

    def stop(self) -> None:
        """End all of them."""
        stop_workers(self.workers)


def next_pause(last: float, lived: float) -> float:
    """Seconds from the start of a worker to that of the next one: twice as many as the last time, unless it lived."""
    return POLL_EVERY if lived > STABLE_AFTER else min(2 * last or POLL_EVERY, LONGEST_PAUSE)


@contextmanager
def api_server(app: ASGIApp, listening: socket.socket) -> Iterator[None]:
    """Serve an application, for example the control plane's, in a thread while the block runs."""
    server = uvicorn.Server(server_config(app))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        wait_until(lambda: server.started or not thread.is_alive(), UP_WITHIN, pause=0.02)
        yield
    except TimeoutError as error:
        raise UserError(f"the server has not started within {UP_WITHIN:g} s. Remedy: try again.") from error
    finally:
        server.should_exit = True
        thread.join()
