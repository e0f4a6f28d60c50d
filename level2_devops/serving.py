"""What the serving process says of itself, for those that release: where, which version, and what it refused."""

import json
import time
from dataclasses import dataclass

from filelock import FileLock, Timeout

from level2_devops.store import Current, ReleaseError, Store

SWITCHED_WITHIN = 120.0  # seconds


@dataclass(frozen=True)
class Serving:
    """The state of the serving process `pid`, whose present worker is the process `worker`.

    change: the number of the last switch it has carried out. refused: why it did not, and kept what served before.
    """

    address: str
    version: str
    change: int
    refused: str | None
    pid: int
    worker: int


def serving_lock(store: Store) -> FileLock:
    """Held by the one process that serves, for as long as it lives."""
    return FileLock(store.home / "serving.lock")


def read_serving(store: Store) -> Serving | None:
    """The state of the process that serves, or None when there is none."""
    try:
        with serving_lock(store).acquire(timeout=0):
            return None
    except Timeout:
        pass
    try:
        return Serving(**json.loads((store.home / "serving.json").read_text()))
    except FileNotFoundError:  # it has only begun
        return None


def wait_until_served(store: Store, current: Current) -> float | None:
    """Wait until the running service has switched to `current`; returns the seconds, or None when none runs.

    Raises ReleaseError when it refused to, or does not answer.
    """
    begun = time.monotonic()
    while (serving := read_serving(store)) is not None:
        if serving.change >= current.change:
            if serving.refused:
                raise ReleaseError(serving.refused)
            return time.monotonic() - begun
        if time.monotonic() - begun > SWITCHED_WITHIN:
            logs = store.home / "logs"
            raise ReleaseError(f"the service did not switch in {SWITCHED_WITHIN:g} s. Remedy: see {logs}")
        time.sleep(0.05)
    return None
