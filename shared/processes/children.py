"""The processes that a command starts: each ends with it, however it ends, and is asked to before it is killed."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from shared.errors import on_end
from shared.processes.process_identity import still_runs

Process = subprocess.Popen[bytes]
WITH_PARENT = Path(__file__).with_name("with_parent.py")
SERVES = "MLOPS_SERVES"  # the process that serves flows: Prefect starts the processes of their runs by itself
REPORTED_WITHIN = 5.0  # seconds; Prefect reports the end of a run to a server that may be gone, again and again
ENDED_WITHIN = 60.0  # seconds; on a busy machine 15 were too few


def start(
    words: list[str], log: Path, environment: Mapping[str, str] | None = None, folder: Path | None = None
) -> Process:
    """Run `python -m` with `words` in `folder`; it inherits inheritable sockets, and appends its output to `log`.

    It ends with this process, or as soon as nothing refers to what is returned. It has a session of its own, so Ctrl-C
    reaches this process alone, which then ends it.
    """
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-P", str(WITH_PARENT), *words],
            cwd=folder,
            env=environment,
            close_fds=False,  # Windows has no `pass_fds`; Python's other files are not inherited in any case
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),  # Windows: needed for CTRL_BREAK_EVENT
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
        )


def stop(processes: Iterable[Process], within: float = ENDED_WITHIN) -> None:
    """Ask all processes to end; after `within` seconds at most, kill what is left of them and of their sessions."""
    asked = list(processes)
    for process in asked:
        if process.poll() is None:
            process.send_signal(getattr(signal, "CTRL_BREAK_EVENT", signal.SIGTERM))
    deadline = time.monotonic() + within
    for process in asked:
        with suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, deadline - time.monotonic()))
        kill(process)


def kill(process: Process) -> None:
    """Kill a process and its session; on Windows, which has no sessions, only the process."""
    if sys.platform != "win32":
        with suppress(ProcessLookupError, PermissionError):  # none is left; macOS raises the second
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()
    if process.stdin:
        process.stdin.close()


@contextmanager
def running(words: list[str], log: Path, environment: Mapping[str, str] | None = None) -> Iterator[Process]:
    """Run `python -m` with `words` while the block runs; see `start`."""
    process = start(words, log, environment)
    try:
        yield process
    finally:
        stop([process])


def serve_until_the_end() -> None:
    """Prepare this process to serve flows: whatever asks it to end is Ctrl-C to Prefect, and to the running flows.

    In a terminal Ctrl-C reaches their processes too. asyncio replaces only Python's own handler of Ctrl-C; it then ends
    Prefect in an orderly way, so that it listens to no event any more.
    """

    def end() -> None:
        for run in multiprocessing.active_children():
            run.terminate()
        signal.raise_signal(signal.SIGINT)

    on_end(end)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def end_with_server() -> None:
    """End this process with the one that serves its flow, if the environment names one."""
    server = os.environ.get(SERVES)

    def follow() -> None:
        while server and still_runs(server):
            time.sleep(1.0)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(REPORTED_WITHIN)
        os._exit(1)

    if server:
        threading.Thread(target=follow, daemon=True).start()
