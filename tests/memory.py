"""How much memory a command takes with all processes that it starts: their proportional set sizes (PSS), each second.

`python -m tests.memory make level5` runs the command to its end; `python -m tests.memory` follows the live demo until
Ctrl-C, or until it ends, and prints the sum of the moment each minute. PSS counts what processes share once; only
Linux has it.
"""

import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace

import psutil

from level5_monitoring.live_demo.processes import WORKSPACE, running_demo
from shared.errors import UserError
from shared.settings import PROJECT, read_settings

EVERY, TELL_EVERY = 1.0, 60.0  # seconds between two looks, and between two lines
Look = list[tuple[float, str]]  # MB and name of each process, the largest first


def pss(process: psutil.Process) -> float:
    """MB of a process; 0 when it has ended."""
    with suppress(psutil.Error):
        return float(process.memory_full_info().pss / 2**20)
    return 0.0


def name_of(process: psutil.Process) -> str:
    """Its module or program, without paths."""
    with suppress(psutil.Error):
        words = [word for word in process.cmdline()[1:] if not word.startswith("-") and not word.endswith(".py")]
        return " ".join(words[:2])[:70] or process.name()
    return "ended"


def look(process: psutil.Process) -> Look:
    """MB and name of the process and of all that it has started, the largest first."""
    with suppress(psutil.NoSuchProcess):
        return sorted(((pss(one), name_of(one)) for one in [process, *process.children(recursive=True)]), reverse=True)
    return []


def total(found: Look) -> str:
    """The sum in words."""
    return f"{sum(size for size, _ in found):,.0f} MB in {len(found)} processes"


def follow(process: psutil.Process, tell_every: float = float("inf")) -> Look:
    """Look until the process ends or Ctrl-C; returns the look with the highest sum.

    tell_every: seconds between two lines with the sum of the moment; the first comes at once.
    """
    peak: Look = []
    tell_at = time.monotonic() if tell_every < float("inf") else tell_every
    with suppress(KeyboardInterrupt):
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            found = look(process)
            peak = max(peak, found, key=lambda one: sum(size for size, _ in one))
            if time.monotonic() >= tell_at:
                tell_at += tell_every
                print(f"{time.strftime('%H:%M:%S')} {total(found)}", flush=True)  # noqa: T201
            time.sleep(EVERY)
    return peak


if __name__ == "__main__":
    begun = time.monotonic()
    if sys.argv[1:]:
        with subprocess.Popen(sys.argv[1:], cwd=PROJECT) as command:
            most = follow(psutil.Process(command.pid))
    else:
        settings = read_settings()
        if not (demo := running_demo(replace(settings, workspace=settings.workspace or WORKSPACE))):
            raise UserError("no demo is up. Remedy: make up.")
        print("The live demo's memory, each minute; Ctrl-C ends this and prints the most.", flush=True)  # noqa: T201
        most = follow(demo, TELL_EVERY)
    print(f"The most in {time.monotonic() - begun:.0f} s: {total(most)}")  # noqa: T201
    for size, name in most:
        print(f"{size:6,.0f} MB  {name}")  # noqa: T201
