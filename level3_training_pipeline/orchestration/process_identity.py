"""Which process it is, in words that outlive it, and whether it still runs."""

import os
import socket

import psutil

SAME_START = 60.0  # seconds


def this_process() -> str:
    """This process's machine, number and start, as one text."""
    return f"{socket.gethostname()}:{os.getpid()}:{psutil.Process().create_time()}"


def still_runs(process: str, *, elsewhere: bool = True) -> bool:
    """Whether the process of this text still runs; elsewhere: what one of another machine counts for."""
    host, _, rest = process.partition(":")
    pid, _, born = rest.partition(":")
    if not pid or host != socket.gethostname():
        return bool(pid) and elsewhere
    try:  # a clock that was set moves the start of a process by as much; its number comes back in minutes at the least
        return abs(psutil.Process(int(pid)).create_time() - float(born)) < SAME_START
    except psutil.NoSuchProcess:
        return False


def has_ended(pid: int) -> bool:
    """Whether the process has ended; one that only waits to be fetched by its parent has."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
