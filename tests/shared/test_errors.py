"""Every way of asking a command to end is Ctrl-C to it; words that are no text are refused."""

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from shared.settings import PROJECT

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
PROGRAM = """
import pathlib, sys, time
from shared.console import console, step
from shared.errors import UserError, command

def main():
    try:
        console.print("begun")
        time.sleep(60)
    finally:
        with step("Clean up"):
            time.sleep(1)
        pathlib.Path(sys.argv[1]).write_text("cleaned up")

command(main)
"""


def program(file: Path, output: int = subprocess.PIPE, *, before: str = "") -> "subprocess.Popen[bytes]":
    words = [sys.executable, "-c", before + PROGRAM, str(file)]
    return subprocess.Popen(words, cwd=PROJECT, stdout=output, stderr=subprocess.PIPE)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_command_as_ctrl_c_does_and_the_next_one_cuts_nothing_short(
    tmp_path: Path, number: signal.Signals
) -> None:
    process = program(tmp_path / "file")
    assert process.stdout
    assert process.stdout.readline() == b"begun\n"
    process.send_signal(number)
    process.stdout.read(len("Clean up"))
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGHUP)
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (130, b"interrupted\n")
    assert (tmp_path / "file").read_text() == "cleaned up"


def test_a_command_cleans_up_when_its_terminal_is_closed(tmp_path: Path) -> None:
    ours, its = pty.openpty()
    words = [sys.executable, "-c", PROGRAM, str(tmp_path / "file")]
    process = subprocess.Popen(words, cwd=PROJECT, stdin=its, stdout=its, stderr=its, start_new_session=True)
    os.close(its)
    assert b"begun" in os.read(ours, 100)
    os.close(ours)  # what is printed there from now on is an error
    process.send_signal(signal.SIGHUP)
    assert process.wait(timeout=30) == 130
    assert (tmp_path / "file").read_text() == "cleaned up"


def test_under_nohup_a_closed_terminal_is_ignored(tmp_path: Path) -> None:
    process = program(tmp_path / "file", before="import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n")
    assert process.stdout
    process.stdout.readline()
    process.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=1)
    process.terminate()
    process.communicate(timeout=30)
    assert process.returncode == 130


def test_bytes_that_are_no_text_are_refused_before_the_command_begins() -> None:
    words = [os.fsencode(sys.executable), b"-c", PROGRAM.encode(), b"a reason \xff"]
    ended = subprocess.run(words, check=False, cwd=PROJECT, capture_output=True, timeout=60)
    assert (ended.returncode, ended.stdout) == (2, b"")
    assert ended.stderr.endswith(b"on the command line is not UTF-8. Remedy: give it as UTF-8.\n")
