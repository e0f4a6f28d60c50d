"""Start and end the live demo, whose process outlives the terminal; what that one has started ends with it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from level5_monitoring import config
from shared.console import console, step
from shared.errors import UserError
from shared.files import read_json, write_json
from shared.processes.at_work import at_work, looking, present, put_on_record
from shared.processes.process_identity import find, identity
from shared.processes.reset import remove
from shared.settings import Settings, read_settings
from shared.waiting import answers, wait_until

WORKSPACE = "demo"  # the demo has its own state: what `make level5` has made stays as it is
DEMO = "the live demo of make up"  # as it is called while it is at work
FILE, LOG = "demo.json", "demo.log"
COMMAND = [sys.executable, "-m", "level5_monitoring.live_demo"]
UP_WITHIN = 120.0  # seconds until the page answers
TURN_WITHIN = 5.0  # seconds for the turn that has begun; one that trains takes longer, and is cut off
DOWN_WITHIN = 90.0  # seconds


def configure() -> Settings:
    """The demo's settings, and the libraries configured by them."""
    demo_settings()
    return config.configure()


def demo_settings() -> Settings:
    """The demo's settings; nothing is made."""
    os.environ.setdefault("MLOPS_WORKSPACE", WORKSPACE)
    return read_settings()


def write_address(folder: Path, address: str) -> None:
    """Publish where the page is served, for `make up`."""
    write_json(folder / FILE, {"address": address})


def read_address(folder: Path) -> str:
    """Where the page was served last, or nothing; raises StateError."""

    def made(*, address: str) -> str:
        return address.strip()  # which only a text has

    try:
        return read_json(folder / FILE, made, "make down, then make up")
    except FileNotFoundError:
        return ""


def running_demo(settings: Settings) -> psutil.Process | None:
    """The demo's process, if one runs or is starting."""
    with looking(settings):
        found = [one for one in present(settings, settings.workspace or config.LEVEL) if one.command == DEMO]
    return find(found[0].process) if found else None


def up(settings: Settings, *, fresh: bool = False) -> str:
    """Start the demo unless it runs, and return the address at which its page answers; it goes on where it stopped.

    fresh: forget the year that was played, and begin anew; raises UserError while a demo runs.
    """
    with at_work(settings, config.LEVEL, "make up", once=True):
        own = config.own(settings)
        if running_demo(settings):
            if fresh:
                raise UserError(
                    "the demo is up, and its year is not begun anew. Remedy: make down, then make up FRESH=1."
                )
            console.print("The demo is up already.")
            return _wait_for_page(own)
        if fresh:
            if not settings.workspace:
                raise UserError("MLOPS_WORKSPACE is empty: the state of all levels would go. Remedy: leave it out.")
            remove(settings, [settings.workspace])
            own = config.own(settings)
        with config.open_log(settings):
            pass  # a log of an earlier version is refused here, with the remedy
        (own / FILE).unlink(missing_ok=True)
        with step("Start the demo: open its page"), _started(settings, own / LOG) as process:
            return _wait_for_page(own, process)


@contextmanager
def _started(settings: Settings, log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """The demo's process, on record before anyone can look; it outlives this terminal, unless the block fails."""
    with looking(settings):
        with log.open("ab") as output:
            process = subprocess.Popen(
                COMMAND, stdout=output, stderr=output, stdin=subprocess.DEVNULL, start_new_session=True
            )
        demo = psutil.Process(process.pid)
        put_on_record(
            settings, settings.workspace or config.LEVEL, DEMO, identity(process.pid), "end it with make down"
        )
    try:
        yield process
    except BaseException:  # Ctrl-C, SIGTERM and a closed terminal too
        _end(demo)
        raise


def _wait_for_page(own: Path, process: "subprocess.Popen[bytes] | None" = None) -> str:
    """The address, once the page answers there; raises UserError when it takes too long, or `process` has ended."""

    def answering() -> str:
        if process and process.poll() is not None:
            raise UserError(f"the demo has ended with status {process.returncode}. Remedy: see {own / LOG}")
        address = read_address(own)
        return address if address and answers(f"{address}/state", timeout=5) else ""

    try:
        return wait_until(answering, UP_WITHIN, pause=0.2)
    except TimeoutError as error:
        why = f"the demo has no page after {UP_WITHIN:g} s"
        again = "make up" if process else "make down, then make up"  # one that was started here is ended
        raise UserError(f"{why}. Remedy: see {own / LOG}; then {again}.") from error


def down(settings: Settings) -> None:
    """End the demo and everything that it has started, and nothing else; `up` goes on where it stopped."""
    process = running_demo(settings)
    if process is None:
        console.print("No demo is up.")
        return
    with step("End the demo"):
        _end(process)
    console.print("The demo has ended.")


def _end(process: psutil.Process) -> None:
    """Ask a process to end, and wait; then kill it and all that it has started, where they still run."""
    with suppress(psutil.NoSuchProcess):  # it may end by itself at any moment
        family = [process, *process.children(recursive=True)]
        process.terminate()
        with suppress(psutil.TimeoutExpired):
            process.wait(TURN_WITHIN)
        if process.is_running():
            process.terminate()
        _, left = psutil.wait_procs(family, timeout=DOWN_WITHIN)
        for one in left:
            with suppress(psutil.NoSuchProcess):
                one.kill()
