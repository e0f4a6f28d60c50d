"""The Prefect server's process: it ends when no command uses it any more, even if all of them were killed.

    python -m level3_training_pipeline.orchestration.shared_server FOLDER WORDS…

runs `prefect server start WORDS…`. Its users are the processes in the files of FOLDER/users. This module is apart from
`prefect_server.py`, because that one imports pandas, which takes 50 MB.
"""

import os
import runpy
import signal
import sys
import threading
import time
from pathlib import Path

from filelock import FileLock

from level2_devops.service.guarded import guard
from shared.processes.process_identity import still_runs

RECORD = "server.json"  # its process and address, as long as commands may join it
POLL_EVERY = 1.0  # seconds


def users_lock(folder: Path) -> FileLock:
    """Held while a command joins or leaves, and while the server looks whether one is left."""
    return FileLock(folder / "server.lock")


def is_used(folder: Path) -> bool:
    """Whether a command uses the server now; the files of commands that were killed are removed.

    All users run on this machine, whose name may change with the network.
    """
    for file in (folder / "users").iterdir():
        if not still_runs(file.read_text()):
            file.unlink()
    return any((folder / "users").iterdir())


def _end_with_users(folder: Path) -> None:
    used = True
    while used:
        time.sleep(POLL_EVERY)
        with users_lock(folder):
            if not (used := is_used(folder)):
                (folder / RECORD).unlink(missing_ok=True)  # so that the next command starts another one
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    """Run the server."""
    threading.Thread(target=_end_with_users, args=[Path(sys.argv[1])], daemon=True).start()
    sys.argv = ["prefect", "server", "start", *sys.argv[2:]]
    guard()
    runpy.run_module("prefect", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
