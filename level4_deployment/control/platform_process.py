"""The platform as a process of its own: started, waited for, ended."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from level4_deployment.control.client import is_running, read_addresses
from shared.errors import UserError

UP_WITHIN, DOWN_WITHIN = 90.0, 30.0  # seconds
SERVE = (sys.executable, "-m", "level4_deployment.control.server")


@dataclass(frozen=True)
class RunningPlatform:
    """A platform in the folder `home`; what it says goes to platform.log there."""

    home: Path
    process: "subprocess.Popen[bytes]"

    @property
    def service(self) -> str:
        """Where predictions are asked for."""
        return read_addresses(self.home)["service"]

    def wait_for_control(self) -> None:
        """Return when the control plane answers."""
        self._wait(lambda: is_running(self.home))

    def wait_until_ready(self) -> None:
        """Return when predictions are answered."""
        self._wait(lambda: _answers(f"{self.service}/ready"))

    def _wait(self, done: Callable[[], bool]) -> None:
        until = time.monotonic() + UP_WITHIN
        while not done():
            if self.process.poll() is not None or time.monotonic() > until:
                raise UserError(f"the platform is not up. Remedy: see {self.home / 'platform.log'}")
            time.sleep(0.05)


@contextmanager
def running_platform(home: Path, *options: str) -> Iterator[RunningPlatform]:
    """Run the platform while the block runs; killed, with its workers, when it does not end as it is asked to."""
    with (home / "platform.log").open("ab") as output:
        process = subprocess.Popen(
            [*SERVE, "--home", str(home), *options],
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
    try:
        yield RunningPlatform(home, process)
    finally:
        process.terminate()
        try:
            process.wait(DOWN_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()  # its workers see that, and leave
            process.wait()


def _answers(address: str) -> bool:
    try:
        return httpx.get(address, timeout=2, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False
