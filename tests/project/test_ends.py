"""However a command ends, nothing that it has started is left, and the same command works again."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from shared.settings import PROJECT
from tests.support import eventually, lend_flights, living

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name == "nt", reason="POSIX signals")]
# What `python -m` runs, what it prints once all that it starts is there, the least number of its processes, and the
# signals that end it, one after the other. The tests of the notebook and of the ui end these two with Ctrl-C.
COMMANDS = {
    "notebook": (["level1_notebook", "open", "--no-browser"], "This is your copy", 1, ["SIGKILL"]),
    "level 1": (["level1_notebook"], "and on the export ....", 3, ["SIGTERM"]),
    "level 2": (["level2_devops"], "while its tests run", 1, ["SIGKILL", "SIGHUP"]),
    "ui": (["level3_training_pipeline", "ui"], "End with Ctrl-C", 2, ["SIGKILL"]),
    "training by schedule": (
        ["level3_training_pipeline", "schedule", "--every", "20", "--trials", "1"],
        "Gather the flights",
        2,
        ["SIGKILL", "SIGHUP"],
    ),
    "level 5": (["level5_monitoring"], "Wait for the platform, and for the Prefect server", 4, ["SIGKILL", "SIGTERM"]),
}


class Command:
    """A command of its own state folder, up to the moment at which it has started all of its processes."""

    def __init__(self, name: str, folder: Path) -> None:
        words, ready, least, _ = COMMANDS[name]
        self.output = folder / "output.txt"
        with self.output.open("wb") as file:
            own = {"MLOPS_STATE": str(folder / "state"), "PYTHONUNBUFFERED": "1"}
            command = [sys.executable, "-m", *words]
            self.process = subprocess.Popen(command, cwd=PROJECT, env=os.environ | own, stdout=file, stderr=file)
        try:
            eventually(lambda: ready in self.output.read_text(), 240, shows=self.output.read_text)
            self.family = eventually(lambda: self._children(least), 60, shows=self.output.read_text)
        except AssertionError:
            self.process.kill()
            self.process.wait()
            raise

    def _children(self, least: int) -> list[psutil.Process]:
        found = psutil.Process(self.process.pid).children(recursive=True)
        return [psutil.Process(self.process.pid), *found] if len(found) >= least else []

    def end(self, number: signal.Signals) -> None:
        """Send a signal to it alone; nothing may be left after the time in which a deaf process is killed."""
        try:
            self.process.send_signal(number)
            self.process.wait(timeout=120)
            eventually(lambda: not living(self.family), 30, shows=lambda: living(self.family))
        finally:
            for one in living(self.family):
                one.kill()


@pytest.mark.parametrize("name", COMMANDS)
def test_nothing_is_left_and_the_same_command_works_again(name: str, tmp_path: Path) -> None:
    lend_flights(tmp_path / "state")
    for number in (signal.Signals[one] for one in COMMANDS[name][-1]):
        command = Command(name, tmp_path)
        command.end(number)
        printed = command.output.read_text()
        assert command.process.returncode in ([-number] if number == signal.SIGKILL else [0, 130]), printed
        assert "Traceback" not in printed
