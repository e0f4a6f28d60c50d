"""What the live demo is doing: its page names it, with the seconds so far and, where the total is known, a share."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Activity:
    """Something that takes a while. over: whether it has ended; share: how much of it is done, from 0 to 1."""

    what: str
    over: Callable[[], bool]
    share: Callable[[], float | None] = lambda: None
    begun: float = field(default_factory=time.monotonic)

    def as_dict(self) -> dict[str, Any]:
        """As the page gets it."""
        return {"what": self.what, "seconds": round(time.monotonic() - self.begun, 1), "share": self.share()}


class Activities:
    """What is under way; any thread may begin an activity, and ask for the one that began last."""

    def __init__(self) -> None:
        self.all: list[Activity] = []
        self.changing = threading.Lock()

    def begin(self, what: str, over: Callable[[], bool], share: Callable[[], float | None] = lambda: None) -> None:
        """Show it until it is over."""
        with self.changing:
            self.all.append(Activity(what, over, share))

    @contextmanager
    def during(self, what: str, share: Callable[[], float | None] = lambda: None) -> Iterator[None]:
        """Show it while the block runs."""
        ended: list[bool] = []
        self.begin(what, lambda: bool(ended), share)
        try:
            yield
        finally:
            ended.append(True)

    def newest(self) -> dict[str, Any] | None:
        """The activity that began last among those that go on; None when there is none."""
        with self.changing:
            self.all = [one for one in self.all if not one.over()]
            return self.all[-1].as_dict() if self.all else None
