"""Wait until something holds: the one loop over the clock."""

import time
from collections.abc import Callable
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
