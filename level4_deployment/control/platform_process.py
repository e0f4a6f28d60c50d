"""Starts the platform beside another command, as its child process; waits for it, and ends it."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from level2_devops.service.worker_process import wait_ready
from level4_deployment.control.client import is_running, read_addresses
from shared.processes.children import Process, start, stop
from shared.waiting import answers

DOWN_WITHIN = 30.0  # seconds
SERVE = ["level4_deployment", "platform"]  # what `python -m` runs


@dataclass(frozen=True)
class RunningPlatform:
    """A platform in the folder `home`; its output goes to platform.log there."""

    home: Path
    process: Process

    @property
    def service(self) -> str:
        """The address of the service that predicts."""
        return read_addresses(self.home)["service"]

    def wait_for_control(self) -> None:
        """Return when the control plane answers; raises UserError."""
        self._wait(lambda: is_running(self.home))

    def wait_until_ready(self) -> None:
        """Return when the service predicts; raises UserError."""
        self._wait(lambda: is_running(self.home) and answers(f"{self.service}/ready"))

    def _wait(self, up: Callable[[], bool]) -> None:
        wait_ready(self.process, up, "the platform", self.home / "platform.log")


@contextmanager
def running_platform(home: Path, *options: str) -> Iterator[RunningPlatform]:
    """Run the platform while the block runs; it is killed, with its workers, if it does not end when asked to."""
    words = [*SERVE, "--home", str(home), *options]
    process = start(words, home / "platform.log", os.environ | {"PYTHONUNBUFFERED": "1"})
    try:
        yield RunningPlatform(home, process)
    finally:
        stop([process], DOWN_WITHIN)
