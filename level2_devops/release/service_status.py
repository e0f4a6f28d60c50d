"""What the serving process says of itself, for those that release: where, which version, and what it refused."""

import json
import os
import sys
import time
from dataclasses import dataclass

from filelock import FileLock, Timeout

from level2_devops.release.store import Current, ReleaseError, Store

STATE = "serving.json"  # there while somebody serves; one who was killed leaves it behind
SWITCHED_WITHIN = 120.0  # seconds


@dataclass(frozen=True)
class ServiceStatus:
    """The state of the serving process `pid`, whose present worker is the process `worker`.

    change: the number of the last switch it has carried out. refused: why it did not, and kept what served before.
    """

    address: str
    version: str
    change: int
    refused: str | None
    pid: int
    worker: int


def service_lock(store: Store) -> FileLock:
    """Held by the one process that serves, for as long as it lives."""
    return FileLock(store.home / "serving.lock")


def read_service_status(store: Store) -> ServiceStatus | None:
    """The state of the process that serves, or None when there is none, or when it has only begun."""
    try:
        state = ServiceStatus(**json.loads((store.home / STATE).read_text()))
    except FileNotFoundError:
        return None
    return state if _is_held(service_lock(store)) and _is_alive(state.pid) else None


def _is_held(lock: FileLock) -> bool:
    """Whether anybody holds the lock: who serves, or for a moment another one who looks."""
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
    except PermissionError:  # somebody else's
        return True
    return True


def wait_until_served(store: Store, current: Current) -> float | None:
    """Wait until the running service has switched to `current`; returns the seconds, or None when none runs.

    Raises ReleaseError when it refused to, or does not answer.
    """
    begun = time.monotonic()
    while (serving := read_service_status(store)) is not None:
        if serving.change >= current.change:
            if serving.refused:
                raise ReleaseError(serving.refused)
            return time.monotonic() - begun
        if time.monotonic() - begun > SWITCHED_WITHIN:
            logs = store.home / "logs"
            raise ReleaseError(f"the service did not switch in {SWITCHED_WITHIN:g} s. Remedy: see {logs}")
        time.sleep(0.05)
    return None
