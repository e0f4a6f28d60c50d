"""Drills of `make level4`, under load: production is rolled back, and a worker is killed; what the clients saw."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import psutil

from level2_devops.load_generator import traffic
from level4_deployment.control.client import PlatformClient
from level4_deployment.replay_client import as_requests
from level4_deployment.serving.reloader import wait_for_workers
from shared.console import console, step
from shared.errors import UserError

CLIENTS = 4  # each with one request on its way at any time
REPLACED_WITHIN = 30.0  # seconds


@dataclass(frozen=True)
class RollBack:
    """A rollback under load: what the clients saw, and how many seconds after the command."""

    version: int
    requests: int
    failed: int
    first: float  # the first answer of the version that is back; nan without one
    last: float  # the last answer of the other; nan without one

    def __str__(self) -> str:
        """One line of evidence."""
        return (
            f"version {self.version} after {self.first:.2f} s, nothing else after {max(self.last, 0):.2f} s; "
            f"{self.failed} of {self.requests:,} requests failed"
        )


def roll_back_under_load(
    control: PlatformClient, service: str, flights: pd.DataFrame, challenger: int, home: Path
) -> RollBack:
    """Roll back while clients ask without pause; from `challenger`, promoted by hand where no verdict has done it."""
    with step("Roll back under load"):
        control.post(f"/versions/{challenger}/promote", reason="a drill needs a champion to take back")
        wait_for_workers(home)
        with traffic(service, as_requests(flights), clients=CLIENTS) as seen:
            time.sleep(3.0)  # until all clients ask
            begun = time.time()
            number = control.post("/rollback", reason="a drill, under load")["routes"]["champion"]["version"]
            wait_for_workers(home)
            time.sleep(2.0)
    drill = RollBack(number, len(seen.rows), len(seen.failed), *answers_after(seen.rows, begun, number))
    console.print(f"  rolled back: {drill}")
    return drill


def answers_after(rows: list[list[Any]], begun: float, number: int) -> tuple[float, float]:
    """Seconds after the command: the first answer of the version that is back, and the last one of the other."""
    told = [(at - begun, version) for at, _, status, version in rows if status == 200]
    first = min((at for at, version in told if version == number and at > 0), default=float("nan"))
    return first, max((at for at, version in told if version != number), default=float("nan"))


@dataclass(frozen=True)
class Kill:
    """A worker that was killed under load. cut: requests that were on their way to it, and got no answer."""

    requests: int
    cut: int
    replaced: float  # seconds until another one served in its place

    def __str__(self) -> str:
        """One line of evidence."""
        return (
            f"another served after {self.replaced:.1f} s; {self.cut} of {self.requests:,} requests were cut off with it"
        )


def kill_a_worker_under_load(service: str, flights: pd.DataFrame) -> Kill:
    """Kill one of the workers while clients ask without pause, and wait until another has taken its place."""
    with step("Kill a worker under load"), traffic(service, as_requests(flights), clients=CLIENTS) as seen:
        time.sleep(2.0)
        before = _workers(service)
        begun = time.monotonic()
        psutil.Process(min(before)).kill()
        _wait(lambda: len(_workers(service) - before) > 0)
        replaced = time.monotonic() - begun
        time.sleep(0.5)
    drill = Kill(len(seen.rows), len(seen.failed), replaced)
    console.print(f"  a worker killed: {drill}")
    return drill


def _workers(service: str) -> set[int]:
    """The workers that serve, by process; a new one is among them once it has loaded its models."""
    told = httpx.get(f"{service}/ready", timeout=10, trust_env=False).json()
    return {worker["pid"] for worker in told["workers"]}


def _wait(done: Callable[[], bool]) -> None:
    until = time.monotonic() + REPLACED_WITHIN
    while not done():
        if time.monotonic() > until:
            raise UserError(f"nobody took its place within {REPLACED_WITHIN:g} s. Remedy: see worker.log.")
        time.sleep(0.05)
