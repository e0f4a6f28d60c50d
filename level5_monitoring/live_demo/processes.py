"""What the live demo has started, on record in its folder: it is found, ended, and cleared away after a crash."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from level3_training_pipeline.orchestration import prefect_server
from level5_monitoring import config
from shared.files import write_json
from shared.settings import Settings

WITHIN = "demo"  # whose state all levels' code works in: what `make level5` has found stays as it is
FILE, LOG = "demo.json", "demo.log"
ENDED_WITHIN = 90.0  # seconds; a training that is under way is waited for


def configure() -> Settings:
    """The demo's settings."""
    os.environ.setdefault("MLOPS_WORKSPACE", WITHIN)
    return config.configure()


class ProcessRecord:
    """The demo's own process and those it has started, as `demo.json` says: name -> (pid, when it was created)."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / FILE
        said = json.loads(self.file.read_text()) if self.file.exists() else {}
        self.address: str = said.get("address", "")
        self.processes: dict[str, list[Any]] = said.get("processes", {})

    def add(self, name: str, pid: int) -> None:
        """A process that runs now."""
        self.processes[name] = [pid, psutil.Process(pid).create_time()]
        self.save()

    def save(self) -> None:
        """Write it down."""
        write_json(self.file, {"address": self.address, "processes": self.processes})

    def alive(self, name: str) -> psutil.Process | None:
        """The process of this name, if it still runs; another one that got its number is not it."""
        pid, created = self.processes.get(name, (0, 0.0))
        try:
            process = psutil.Process(pid)
            same = process.create_time() == created and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return None
        return process if same else None


DEMO = "demo"  # the name of the demo's own process


def end(settings: Settings, record: ProcessRecord) -> list[str]:
    """End the demo, and whatever a sudden end has left of it; returns the names of what was ended."""
    ended = []
    for name in sorted(record.processes, key=lambda name: name != DEMO):  # the demo first: it ends its own
        if process := record.alive(name):
            ended.append(name)
            _end(process)
    if prefect_server.running_server(settings):
        with prefect_server.prefect_server(settings):
            ended.append("Prefect")  # the last to leave stops it
    record.file.unlink(missing_ok=True)
    return ended


def _end(process: psutil.Process) -> None:
    """Ask it to end, and wait; what does not is killed, with all that it has started."""
    family = [process, *process.children(recursive=True)]
    process.terminate()
    _, left = psutil.wait_procs(family, timeout=ENDED_WITHIN)
    for one in left:
        one.kill()


@contextmanager
def started(record: ProcessRecord, name: str, words: list[str], output: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a command while the block runs; what it says goes to `output`."""
    with output.open("ab") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    record.add(name, process.pid)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
