"""What tests of all levels use: waiting, a changed environment, the flights' cache, and tools that may be missing."""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import psutil
import pytest

from shared.settings import read_settings
from shared.waiting import wait_until

Result = TypeVar("Result")


def eventually(
    condition: Callable[[], Result | None], within: float = 10.0, *, shows: Callable[[], object] = str
) -> Result:
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


def lend_flights(state: Path) -> None:
    """Copy the project's cache of the flights into a test's own state folder, so that it is not built again."""
    shutil.copytree(read_settings().level("shared"), state / "shared")


def interrupt(process: "subprocess.Popen[str]", within: float = 60.0) -> None:
    """End a process as Ctrl-C does, and kill it if that takes longer than `within` seconds."""
    process.send_signal(signal.SIGINT)
    try:
        process.communicate(timeout=within)
    finally:
        process.kill()


def alarms(results: Iterable[Any]) -> set[str]:
    """The targets of the monitor results that are alarms."""
    return {one.target for one in results if one.state == "alarm"}


def without(what: str) -> NoReturn:
    """Skip the test, because `what` is missing; with NOTHING_SKIPPED=1 fail it."""
    if os.environ.get("NOTHING_SKIPPED") == "1":
        pytest.fail(f"{what}, and NOTHING_SKIPPED=1")
    pytest.skip(what)


def living(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Those that have not ended; a zombie has, though nobody has read its status."""

    def lives(one: psutil.Process) -> bool:
        with suppress(psutil.NoSuchProcess):  # it may end between the two questions
            return bool(one.is_running() and one.status() != psutil.STATUS_ZOMBIE)
        return False

    return [one for one in processes if lives(one)]


def words_of(process: psutil.Process) -> list[str]:
    """The command line of a process; empty if it has ended."""
    with suppress(psutil.NoSuchProcess):  # a zombie too
        return list(process.cmdline())
    return []
