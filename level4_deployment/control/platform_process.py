"""The platform as a child process: started, waited for, ended."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from level4_deployment.control.client import is_running, read_addresses
from shared.errors import UserError
from shared.waiting import wait_until

UP_WITHIN, DOWN_WITHIN = 90.0, 30.0  # seconds
SERVE = (sys.executable, "-m", "level4_deployment.control.server")


@dataclass(frozen=True)
class RunningPlatform:
    """A platform in the folder `home`; its output goes to platform.log there."""

    home: Path
    process: "subprocess.Popen[bytes]"

    @property
    def service(self) -> str:
        """The address of the service that predicts."""
        return read_addresses(self.home)["service"]

    def wait_for_control(self) -> None:
        """Return when the control plane answers; raises UserError."""
        self._wait(lambda: is_running(self.home))

    def wait_until_ready(self) -> None:
        """Return when the service predicts; raises UserError."""
        self._wait(lambda: _answers(f"{self.service}/ready"))

    def _wait(self, up: Callable[[], bool]) -> None:
        def up_or_ended() -> bool:
            return self.process.poll() is not None or up()

        with suppress(TimeoutError):
            wait_until(up_or_ended, UP_WITHIN)
            if self.process.poll() is None:
                return
        raise UserError(f"the platform is not up. Remedy: see {self.home / 'platform.log'}")


@contextmanager
def running_platform(home: Path, *options: str) -> Iterator[RunningPlatform]:
    """Run the platform while the block runs; it is killed, with its workers, if it does not end when asked to."""
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
            process.kill()  # its workers notice, and end
            process.wait()


def _answers(address: str) -> bool:
    try:
        return httpx.get(address, timeout=2, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False
