"""What the running service publishes for releases: its address, its version, and a switch that it refused."""

import time

from pydantic.dataclasses import dataclass

from level2_devops.release.store import ReleaseError, Store
from shared.files import read_json
from shared.processes.process_identity import still_runs
from shared.waiting import wait_until

STATE = "serving.json"  # exists while a service runs; a killed one leaves it behind
SWITCHED_WITHIN = 120.0  # seconds


@dataclass(frozen=True, config={"extra": "forbid"})
class ServiceStatus:
    """The state of the supervisor, `process` by its identity, and of its present worker, process `worker`.

    change: the number of the last switch that it carried out. refused: why it refused it and kept the old release.
    """

    address: str
    version: str
    change: int
    refused: str | None
    process: str
    worker: int


def read_service_status(store: Store) -> ServiceStatus | None:
    """The state of the running service; None when none runs, or when it has only just started."""
    file = store.home / STATE
    try:
        state = read_json(file, ServiceStatus, f"try again: a service that runs writes it anew; else remove {file}")
    except FileNotFoundError:
        return None
    return state if still_runs(state.process) else None


def wait_until_served(store: Store) -> float | None:
    """Wait until the running service has switched to the current release; returns the seconds, or None without one.

    Raises ReleaseError when it refused to switch, or does not answer.
    """
    begun, current = time.monotonic(), store.current()

    def switched_or_gone() -> bool:
        found = read_service_status(store)
        return not (found and current and found.change < current.change)

    try:
        wait_until(switched_or_gone, SWITCHED_WITHIN)
    except TimeoutError:
        logs = store.home / "logs"
        raise ReleaseError(f"the service did not switch in {SWITCHED_WITHIN:g} s. Remedy: see {logs}") from None
    status = read_service_status(store)
    if status is None:
        return None
    if status.refused:
        raise ReleaseError(status.refused)
    return time.monotonic() - begun
