"""A text that identifies a process also after it has ended, and whether that process still runs."""

import os

import psutil

SAME_START = 60.0  # seconds


def identity(pid: int) -> str:
    """The number and start time of the process with this number, as one text."""
    return f"{pid}:{psutil.Process(pid).create_time()}"


def this_process() -> str:
    """This process's number and start time, as one text."""
    return identity(os.getpid())


def still_runs(process: str) -> bool:
    """Whether the process of this text still runs, on this machine; False for no text."""
    return bool(process) and find(process) is not None


def find(process: str) -> psutil.Process | None:
    """The process of this text, if it still runs, on this machine.

    When the clock is set, start times move with it. A process number returns after minutes at the earliest, so a start
    within SAME_START is the same process. A zombie, whose parent has not read its status yet, has ended.
    """
    try:
        pid, started = process.split(":")
        found = psutil.Process(int(pid))
        same = abs(found.create_time() - float(started)) < SAME_START
        return found if same and found.status() != psutil.STATUS_ZOMBIE else None
    except (psutil.NoSuchProcess, ValueError):  # a text that names none was made by another version
        return None


def number_of(process: str) -> str:
    """The process number in this text."""
    return process.split(":", maxsplit=1)[0]
