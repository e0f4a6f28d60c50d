"""What the running service publishes for releases: its address, its version, and a switch that it refused."""

import os
import sys
import time

from filelock import FileLock, Timeout
from pydantic.dataclasses import dataclass

from level2_devops.release.store import Current, ReleaseError, Store
from shared.files import StateError, read_json
from shared.waiting import wait_until

STATE = "serving.json"  # exists while a service runs; a killed one leaves it behind
SWITCHED_WITHIN = 120.0  # seconds


@dataclass(frozen=True, config={"extra": "forbid"})
class ServiceStatus:
    """The state of the supervisor, process `pid`, and of its present worker, process `worker`.

    change: the number of the last switch that it carried out. refused: why it refused it and kept the old release.
    """

    address: str
    version: str
    change: int
    refused: str | None
    pid: int
    worker: int


def service_lock(store: Store) -> FileLock:
    """The supervisor holds it as long as it lives."""
    return FileLock(store.home / "serving.lock")


def read_service_status(store: Store) -> ServiceStatus | None:
    """The state of the running service; None when none runs, or when it has only just started."""
    try:
        state = read_json(store.home / STATE, ServiceStatus, "try again, for the running service has written it anew")
    except FileNotFoundError:
        return None
    except StateError:
        if _is_held(service_lock(store)):
            raise
        return None  # of a service that was killed
    return state if _is_held(service_lock(store)) and _is_alive(state.pid) else None


def _is_held(lock: FileLock) -> bool:
    """Whether another process holds the lock: the supervisor, or for a moment another reader of the status."""
    try:
        with lock.acquire(timeout=0):
            return False
    except Timeout:
        return True


def _is_alive(pid: int) -> bool:
    if sys.platform == "win32":  # signal 0 would be Ctrl-C there
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it belongs to another user
        return True
    return True


def wait_until_served(store: Store, current: Current) -> float | None:
    """Wait until the running service has switched to `current`; returns the seconds, or None when none runs.

    Raises ReleaseError when it refused to switch, or does not answer.
    """
    begun = time.monotonic()
    status: ServiceStatus | None = None

    def switched_or_gone() -> bool:
        nonlocal status
        status = read_service_status(store)
        return status is None or status.change >= current.change

    try:
        wait_until(switched_or_gone, SWITCHED_WITHIN)
    except TimeoutError:
        logs = store.home / "logs"
        raise ReleaseError(f"the service did not switch in {SWITCHED_WITHIN:g} s. Remedy: see {logs}") from None
    if status is None:
        return None
    if status.refused:
        raise ReleaseError(status.refused)
    return time.monotonic() - begun
