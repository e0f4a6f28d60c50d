"""A child ends with the process that has started it, however that one ends."""

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from shared.processes import children
from shared.settings import PROJECT
from tests.support import eventually, living

CHILD = """
import subprocess, sys, time
grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"])
print(grandchild.pid, flush=True)
time.sleep(120)
"""
PARENT = """
import os, pathlib, sys, time
from shared.processes.children import start
child = start(["busy"], pathlib.Path("child.log"), os.environ)
print(child.pid, flush=True)
time.sleep(120)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a module `busy`, which starts a process of its own and sleeps."""
    (tmp_path / "busy.py").write_text(CHILD)
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def printed(log: Path) -> int:
    return int(eventually(lambda: log.read_text().strip() if log.exists() else "", within=30))


def test_after_sigkill_neither_child_nor_grandchild_is_left(folder: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    child = psutil.Process(int(parent.stdout.readline()))
    family = [child, psutil.Process(printed(folder / "child.log"))]
    parent.kill()
    parent.communicate()
    eventually(lambda: not living(family), within=15, shows=lambda: living(family))


def test_a_block_that_ends_leaves_no_grandchild(folder: Path) -> None:
    with children.running(["busy"], folder / "child.log") as child:
        family = [psutil.Process(child.pid), psutil.Process(printed(folder / "child.log"))]
        assert living(family) == family
    eventually(lambda: not living(family), within=15, shows=lambda: living(family))


@pytest.mark.skipif(os.name == "nt", reason="it simulates Windows' launcher by a script")
def test_a_launcher_that_stands_between_changes_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On Windows, .venv's Python is a process that starts the real one, whose parent it is."""
    launcher = folder / "launcher"
    launcher.write_text(
        textwrap.dedent(f"""\
            #!{sys.executable}
            import subprocess, sys
            sys.exit(subprocess.run([{sys.executable!r}, *sys.argv[1:]]).returncode)
            """)
    )
    launcher.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(launcher))
    child = children.start(["busy"], folder / "child.log")
    family = [psutil.Process(printed(folder / "child.log"))]
    family.append(family[0].parent())
    assert child.pid not in {one.pid for one in family}, "the launcher is another process"
    time.sleep(1.5)
    assert living(family) == family, "it runs as long as its parent"
    assert child.stdin
    child.stdin.close()  # as the system does when the parent is gone
    eventually(lambda: not living(family), within=15, shows=lambda: living(family))
    child.wait()


def test_the_module_runs_as_with_python_m(folder: Path) -> None:
    (folder / "shows.py").write_text("import sys; print(__name__, sys.argv[1:], sys.path[0])")
    with children.running(["shows", "a", "b"], folder / "log") as child:
        child.wait()
    assert (folder / "log").read_text() == f"__main__ ['a', 'b'] {folder}\n"


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no signal to a thread")
def test_a_module_that_reads_nothing_and_is_interrupted_runs_on(folder: Path) -> None:
    """Pytest captures so: it puts an empty file in the place of standard input."""
    (folder / "captures.py").write_text(
        textwrap.dedent("""\
            import os, signal, threading, time
            signal.signal(signal.SIGUSR1, lambda *_: None)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            for thread in threading.enumerate():
                signal.pthread_kill(thread.ident, signal.SIGUSR1)  # a read that waits begins again
            time.sleep(1)
            print("still here")
            """)
    )
    with children.running(["captures"], folder / "log") as child:
        child.wait()
    assert (folder / "log").read_text() == "still here\n"
