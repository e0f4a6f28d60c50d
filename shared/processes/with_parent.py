"""Run a Python module that ends with its parent, however the parent ends: `children` starts every child so.

    python -P with_parent.py MODULE WORDS…

The parent holds the other end of this process's standard input. When the parent is gone, even by SIGKILL, the system
closes it; whatever launcher stands between the two. This file is run by its path and imports nothing of the project,
so a release runs its own code, from its own folder.
"""

import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

GRACE = 10.0  # seconds to end in an orderly way


def main() -> None:
    """Run the module as `python -m` would."""
    # A copy that nothing else knows: a module may put another file in the place of 0, as pytest does, and a read that
    # a signal interrupts begins again.
    threading.Thread(target=_end_with_parent, args=(os.dup(0),), daemon=True).start()
    sys.argv = sys.argv[1:]
    sys.path.insert(0, os.getcwd())  # noqa: PTH109 - as `python -m` does
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


def _end_with_parent(pipe: int) -> None:
    """Wait for the end of the parent, then end this process and all of its session."""
    while os.read(pipe, 1024):
        pass
    if sys.platform == "win32":
        subprocess.run(["taskkill", "/F", "/T", "/PID", str(os.getpid())], check=False)  # noqa: S607 - Windows' own
        return
    session = os.getpgrp()  # as `shared.processes.children` has made it
    try:  # this process may end before its children have, so another one sees to them
        words = [sys.executable, "-I", __file__, "--kill", str(session)]
        subprocess.Popen(words, start_new_session=True, stdin=subprocess.DEVNULL)
    finally:
        os.killpg(session, signal.SIGTERM)


def _kill_later(session: int) -> None:
    """Kill what is left of a session after GRACE."""
    with suppress(ProcessLookupError, PermissionError):  # none is left; macOS raises the second
        for _ in range(int(GRACE / 0.1)):
            time.sleep(0.1)
            os.killpg(session, 0)
        os.killpg(session, signal.SIGKILL)


if __name__ == "__main__":
    if sys.argv[1] == "--kill":
        _kill_later(int(sys.argv[2]))
    else:
        main()
