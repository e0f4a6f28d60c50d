"""Two drills under load: roll production back, and kill a worker. The clients count what they notice of it."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import psutil

from level2_devops.load_generator import traffic
from level4_deployment.control.client import PlatformClient
from level4_deployment.replay_client import as_requests
from level4_deployment.serving.reloader import wait_for_workers, workers
from shared.console import console, step
from shared.errors import UserError
from shared.waiting import wait_until

REPLACED_WITHIN = 30.0  # seconds


@dataclass(frozen=True)
class RollbackDrill:
    """A rollback under load. Times in seconds after the command; NaN where there was no such response."""

    version: int
    requests: int
    failed: int
    first_restored: float  # first response of the restored version
    last_replaced: float  # last response of the version that was rolled back

    def __str__(self) -> str:
        """One line of evidence."""
        alone = max(self.first_restored, self.last_replaced)
        return f"version {self.version} after {alone:.2f} s; {self.failed} of {self.requests:,} requests failed"


def roll_back_under_load(
    operator: PlatformClient, service: str, flights: pd.DataFrame, challenger: int, home: Path
) -> RollbackDrill:
    """Roll back from `challenger` while clients send requests; it is promoted first, if it is not the champion."""
    with step("Roll back under load"):
        operator.post(f"/versions/{challenger}/promote", reason="a drill needs a champion to roll back from")
        wait_for_workers(home)
        with traffic(service, as_requests(flights)) as load:
            time.sleep(3.0)  # the clients are a process that has to start
            begun = time.time()
            restored = operator.post("/rollback", reason="a drill, under load")["routes"]["champion"]["version"]
            wait_for_workers(home)
            time.sleep(2.0)
    drill = RollbackDrill(restored, len(load.rows), len(load.failed), *switch_times(load.rows, begun, restored))
    console.print(f"  {drill}")
    return drill


def switch_times(rows: list[list[Any]], begun: float, restored: int) -> tuple[float, float]:
    """Seconds from the command to the first response of the restored version, and to the last one of any other.

    rows: as of level 2's `Traffic`. A response of the restored version from before the command does not count.
    """
    answered = [(at - begun, version) for at, _, status, version in rows if status == 200]
    first = min((at for at, version in answered if version == restored and at > 0), default=float("nan"))
    return first, max((at for at, version in answered if version != restored), default=float("nan"))


@dataclass(frozen=True)
class KillDrill:
    """A worker that was killed under load. lost: requests that it was working on, which got no response."""

    requests: int
    lost: int
    replaced_after: float  # seconds until another worker was ready

    def __str__(self) -> str:
        """One line of evidence."""
        return f"replaced in {self.replaced_after:.1f} s; {self.lost} of {self.requests:,} requests lost"


def kill_a_worker_under_load(service: str, flights: pd.DataFrame, home: Path) -> KillDrill:
    """Kill one of the workers while clients send requests, and wait until another one has replaced it."""
    with step("Kill a worker under load"), traffic(service, as_requests(flights)) as load:
        time.sleep(2.0)  # the clients are a process that has to start
        before = _pids(home)
        begun = time.monotonic()
        psutil.Process(min(before)).kill()
        try:
            wait_until(lambda: _pids(home) - before, REPLACED_WITHIN)
        except TimeoutError as error:
            raise UserError(
                f"process {min(before)}, a killed worker, was not replaced within {REPLACED_WITHIN:g} s. "
                "Remedy: see worker.log."
            ) from error
        replaced_after = time.monotonic() - begun
        time.sleep(0.5)
    drill = KillDrill(len(load.rows), len(load.failed), replaced_after)
    console.print(f"  {drill}")
    return drill


def _pids(home: Path) -> set[int]:
    """The process ids of the workers that have loaded their models."""
    return {worker["pid"] for worker in workers(home)}
