"""A clock at work: a thread that asks for the hours, as the replay does."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from level5_monitoring.live_demo.clock import Clock
from shared.data.replay import Tick
from tests.support import eventually

FAST = "as fast as it goes"


@contextmanager
def played(clock: Clock, hours: list[Tick]) -> Iterator[list[Tick]]:
    """The hours that the clock has let through so far, while a thread asks for them."""
    seen: list[Tick] = []
    thread = threading.Thread(target=lambda: seen.extend(clock.paced(hours)))  # extend takes them one by one
    thread.start()
    try:
        yield seen
    finally:
        clock.stop()
        thread.join(10)
        assert not thread.is_alive()


def exactly(seen: list[Tick], count: int) -> None:
    """Wait until so many hours were let through; no other may follow."""
    eventually(lambda: len(seen) >= count, within=20)
    time.sleep(0.1)
    assert len(seen) == count
