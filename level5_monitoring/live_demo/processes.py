"""Start and end the live demo. Its processes are on record in its folder, so that a crashed demo can be ended too."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from level3_training_pipeline.orchestration import prefect_server
from level5_monitoring import config
from shared.console import console, step
from shared.errors import UserError
from shared.files import write_json
from shared.loopback import answers, running
from shared.settings import Settings
from shared.waiting import wait_until

WORKSPACE = "demo"  # the demo has its own state: what `make level5` has made stays as it is
DEMO = "demo"  # the name of the demo's own process
FILE, LOG = "demo.json", "demo.log"
COMMAND = [sys.executable, "-m", "level5_monitoring.live_demo.demo"]
UP_WITHIN = 120.0  # seconds until the page answers
DOWN_WITHIN = 90.0  # seconds; the demo finishes a training first


def configure() -> Settings:
    """The demo's settings."""
    os.environ.setdefault("MLOPS_WORKSPACE", WORKSPACE)
    return config.configure()


class ProcessRecord:
    """The demo's process and those that it has started, in `demo.json`: name -> (pid, when it was created)."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / FILE
        record = json.loads(self.file.read_text()) if self.file.exists() else {}
        self.address: str = record.get("address", "")
        self.processes: dict[str, list[Any]] = record.get("processes", {})

    def add(self, name: str, pid: int) -> None:
        """Record a process that runs now."""
        self.processes[name] = [pid, psutil.Process(pid).create_time()]
        self.save()

    def save(self) -> None:
        """Write the record."""
        write_json(self.file, {"address": self.address, "processes": self.processes})

    def alive(self, name: str) -> psutil.Process | None:
        """The process of this name if it still runs; another process that got its pid later does not count."""
        pid, created = self.processes.get(name, (0, 0.0))
        try:
            process = psutil.Process(pid)
            same = process.create_time() == created and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return None
        return process if same else None


@contextmanager
def started(record: ProcessRecord, name: str, words: list[str], output: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a command on record while the block runs; it prints to `output`."""
    with running(words, output) as process:
        record.add(name, process.pid)
        yield process


def up(settings: Settings, *, fresh: bool = False) -> str:
    """Start the demo unless it runs, and return the address at which its page answers; it goes on where it stopped.

    fresh: forget the year that was played, and begin anew.
    """
    own = config.own(settings)
    record = ProcessRecord(own)
    if record.alive(DEMO):
        console.print("The demo is up already.")
        return _wait_for_page(record.address)
    if ended := end(settings, record):
        console.print(f"Ended what the last demo had left behind: {', '.join(ended)}.")
    if fresh:
        if not settings.workspace:
            raise UserError("MLOPS_WORKSPACE is empty: the state of all levels would go. Remedy: leave it out.")
        shutil.rmtree(settings.state / settings.workspace)
        own = config.own(settings)
    with config.open_log(settings):
        pass  # a log of an earlier version is refused here, with the remedy
    with step("Start the demo"), (own / LOG).open("ab") as log:
        # In a session of its own, so that it outlives this terminal.
        process = subprocess.Popen(COMMAND, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)

        def address() -> str:
            if process.poll() is not None:
                raise UserError(f"the demo has ended with status {process.returncode}. Remedy: see {own / LOG}")
            return ProcessRecord(own).address

        try:
            return _wait_for_page(wait_until(address, UP_WITHIN))
        except TimeoutError as error:
            raise UserError(f"the demo has no page after {UP_WITHIN:g} s. Remedy: see {own / LOG}") from error


def _wait_for_page(address: str) -> str:
    try:
        wait_until(lambda: answers(f"{address}/state", timeout=5), UP_WITHIN, pause=0.2)
    except TimeoutError as error:
        raise UserError(f"the page does not answer at {address}. Remedy: make down, then make up.") from error
    return address


def down(settings: Settings) -> None:
    """End the demo and everything that it has started, and nothing else; `up` goes on where it stopped."""
    record = ProcessRecord(config.own(settings))
    if not record.processes:
        console.print("No demo is up.")
        return
    with step("End the demo; it finishes the turn that it has begun"):
        ended = end(settings, record)
    console.print(f"Ended: {', '.join(ended)}." if ended else "It had ended by itself; its record is removed.")


def end(settings: Settings, record: ProcessRecord) -> list[str]:
    """End the processes on record and remove it; returns the names of those that still ran."""
    ended = []
    for name in sorted(record.processes, key=lambda name: name != DEMO):  # the demo first: it ends its own
        if process := record.alive(name):
            ended.append(name)
            _end(process)
    if prefect_server.running_server(settings):
        with prefect_server.prefect_server(settings):
            ended.append("Prefect")  # its server ends when its last user leaves
    record.file.unlink(missing_ok=True)
    return ended


def _end(process: psutil.Process) -> None:
    """Ask a process to end, and wait; then kill it and all that it has started, where they still run."""
    family = [process, *process.children(recursive=True)]
    process.terminate()
    _, left = psutil.wait_procs(family, timeout=DOWN_WITHIN)
    for one in left:
        one.kill()
