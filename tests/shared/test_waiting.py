"""Waiting ends with the first true result, with an error, or after its time."""

import time
from collections.abc import Iterator

import pytest

from shared.waiting import wait_until


def results() -> Iterator[int]:
    yield from (0, 0, 3, 4)


def test_the_first_true_result_is_returned() -> None:
    found = results()
    assert wait_until(lambda: next(found), within=5, pause=0) == 3


def test_an_error_ends_the_wait_at_once() -> None:
    with pytest.raises(ZeroDivisionError):
        wait_until(lambda: 1 / 0, within=5)


def test_after_its_time_the_wait_ends() -> None:
    begun = time.monotonic()
    with pytest.raises(TimeoutError, match=r"nothing after 0\.1 s"):
        wait_until(lambda: False, within=0.1, pause=0.01)
    assert 0.1 <= time.monotonic() - begun < 2
