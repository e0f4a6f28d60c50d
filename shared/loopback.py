"""Servers on this machine: a free port for the next one, a process while it is needed, and whether it answers."""

import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def free_port() -> int:
    """A port on loopback that no process listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(words: list[str], log: Path, **options: Any) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a command while the block runs, with its output appended to `log`; options: of subprocess.Popen."""
    with log.open("ab") as output:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=output, stderr=output, **options)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=60)  # on a busy machine 15 seconds were too few
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def answers(url: str, timeout: float = 2.0) -> bool:
    """Whether a server answers at `url` with status 200, within `timeout` seconds."""
    try:
        with urllib.request.urlopen(url, timeout=timeout) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
