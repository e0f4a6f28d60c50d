"""What tests of all levels use: waiting for something to happen, and a changed environment that is put back."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from shared.waiting import wait_until

Result = TypeVar("Result")


def eventually(condition: Callable[[], Result], within: float = 10.0, *, shows: Callable[[], object] = str) -> Result:
    """The first true result of `condition`; fails with what `shows` returns after `within` seconds."""
    try:
        return wait_until(condition, within)
    except TimeoutError as error:
        raise AssertionError(f"{error}: {shows()}") from None


@contextmanager
def environment(**changes: str) -> Iterator[Mapping[str, str]]:
    """Set these variables while the block runs; afterwards all of the environment is as it was."""
    before = dict(os.environ)
    os.environ.update(changes)
    try:
        yield os.environ
    finally:
        os.environ.clear()
        os.environ.update(before)


def alarms(results: Iterable[Any]) -> set[str]:
    """The targets of the monitor results that are alarms."""
    return {one.target for one in results if one.state == "alarm"}
