"""Wait until something holds, or until a server on this machine answers: the one loop over the clock."""

import socket
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPException
from typing import TypeVar

Result = TypeVar("Result")


def wait_until(condition: Callable[[], Result | None], within: float, *, pause: float = 0.05) -> Result:
    """Call `condition` every `pause` seconds and return its first true result; raises TimeoutError after `within`.

    An exception that `condition` raises ends the wait: a process that has died is reported at once.
    """
    deadline = time.monotonic() + within
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing after {within:g} s")
        time.sleep(pause)
    return result


def comes_up(url: str, within: float, ended: Callable[[], bool]) -> bool:
    """Whether a server answers at `url` within so many seconds, and before its process has ended."""
    with suppress(TimeoutError):
        wait_until(lambda: answers(url, timeout=5) or ended(), within, pause=0.1)
    return answers(url, timeout=5)


def answers(url: str, timeout: float = 2.0) -> bool:
    """Whether a server answers at `url` with status 200, within `timeout` seconds."""
    try:
        with urllib.request.urlopen(url, timeout=timeout) as answer:
            return bool(answer.status == 200)
    except (OSError, ValueError, HTTPException):  # no server, no address, or no HTTP
        return False


def free_port() -> int:
    """A port on loopback that no process listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
