"""A text that identifies a process also after it has ended, and whether that process still runs."""

import os
import socket

import psutil

SAME_START = 60.0  # seconds


def this_process() -> str:
    """This process's machine, process number and start time, as one text."""
    return f"{socket.gethostname()}:{os.getpid()}:{psutil.Process().create_time()}"


def still_runs(process: str, *, elsewhere: bool = True) -> bool:
    """Whether the process of this text still runs; `elsewhere` is the answer for a process of another machine.

    When the clock is set, start times move with it. A process number returns after minutes at the earliest, so a start
    within SAME_START is the same process.
    """
    host, _, rest = process.partition(":")
    pid, _, started = rest.partition(":")
    if not pid or host != socket.gethostname():
        return bool(pid) and elsewhere
    try:
        return abs(psutil.Process(int(pid)).create_time() - float(started)) < SAME_START
    except psutil.NoSuchProcess:
        return False


def has_ended(pid: int) -> bool:
    """Whether the process has ended; a zombie, whose parent has not read its status yet, has ended too."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
