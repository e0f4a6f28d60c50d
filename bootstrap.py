"""Make `.venv` with the exact packages of requirements.txt. Later runs take a twentieth of a second.

Run it with `python3 bootstrap.py`, on Linux, macOS or Windows; it needs nothing but Python. uv, itself taken
from the lock, installs everything; where uv cannot, pip does. `.venv/ready` is written last, so that a half-made
environment does not count as ready.
"""

import sys

if sys.version_info < (3, 11):
    sys.exit("error: this is Python %d.%d, and 3.11 or newer is needed. Remedy: install it, then run it "
             "by name: python3.11 bootstrap.py" % sys.version_info[:2])  # fmt: skip

import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

PROJECT = Path(__file__).resolve().parent
LOCK = PROJECT / "requirements.txt"
VENV = PROJECT / ".venv"
READY = VENV / "ready"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
DISK = 2.5e9  # bytes: the environment, and the downloads while it is made

# Imported once at the end, on two cores: that proves that they work, and compiles them, so that they load faster.
LIBRARIES = [
    ["pandas", "pandera.pandas", "matplotlib.pyplot", "nbclient", "ipykernel.kernelapp", "jupyterlab", "optuna",
     "sklearn.ensemble", "skops.io", "mlflow.sklearn", "mlflow.store.tracking.sqlalchemy_store"],
    ["fastapi", "uvicorn", "httpx", "prometheus_client", "prefect.server.api.server", "prefect.testing.utilities"],
]  # fmt: skip


class SetupError(Exception):
    """The environment cannot be made; the text says why, and the remedy."""


def main() -> None:
    """Make the environment unless it is there."""
    if is_ready():
        READY.touch()  # newer than the lock again, so that make does not run this again
        return
    with alone():
        if not is_ready():  # the command that was waited for may have failed
            make()


def make() -> None:
    """Make the environment, in place of an earlier one."""
    begun = time.monotonic()
    print(f"The environment is made once: {count()} packages, from {LOCK.name} into {VENV.name}", flush=True)
    if shutil.disk_usage(PROJECT).free < DISK:
        raise SetupError(f"less than {DISK / 1e9:.1f} GB are free on the disk of {PROJECT}. Remedy: make room.")
    READY.unlink(missing_ok=True)
    make_venv()
    install()
    if not run("Start every library once", *([PYTHON, "-c", f"import {', '.join(names)}"] for names in LIBRARIES)):
        raise SetupError("an installed library does not start. Remedy: report it, with the lines above.")
    READY.write_text(wanted())
    print(f"The environment is ready: {size() / 1e9:.1f} GB, {time.monotonic() - begun:.0f} s", flush=True)


@contextmanager
def alone() -> Iterator[None]:
    """Let one process at a time make the environment; others wait. A killed process loses the lock."""
    with VENV.with_name(".venv.lock").open("a+") as file:
        waited = False
        while not locked(file):
            print("." if waited else "Another command makes the environment: wait for it ", end="", flush=True)
            waited = True
            time.sleep(1)
        if waited:
            print(flush=True)
        yield


def locked(file: TextIO) -> bool:
    """Take the lock if it is free; closing the file frees it."""
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def wanted() -> str:
    """The digest of the lock and the version of Python that the environment must be made from."""
    return f"{hashlib.sha256(LOCK.read_bytes()).hexdigest()} Python {sys.version_info[0]}.{sys.version_info[1]}\n"


def is_ready() -> bool:
    """Whether the environment is complete, and made from this lock for this Python."""
    return PYTHON.exists() and READY.exists() and READY.read_text() == wanted()


def count() -> int:
    """How many packages the lock names, those for other platforms included."""
    return sum("==" in line and not line.startswith(" ") for line in LOCK.read_text().splitlines())


def size() -> int:
    """The bytes of all installed files, from the packages' records, because walking all files takes seconds."""
    records = [*VENV.glob("lib/*/site-packages/*/RECORD"), *VENV.glob("Lib/site-packages/*/RECORD")]
    lines = [line for record in set(records) for line in record.read_text(encoding="utf-8").splitlines()]
    return sum(int(line.rsplit(",", 1)[-1] or 0) for line in lines)


def make_venv() -> None:
    """Make an environment with pip only, in place of an earlier one."""
    base = getattr(sys, "_base_executable", sys.executable)  # not .venv's own Python, which is removed here
    if not run("Make an empty environment", [base, "-m", "venv", "--clear", VENV]):
        raise SetupError(
            "Python could not make an environment. Remedy: on Debian and Ubuntu, `apt install python3-venv`."
        )


def install() -> None:
    """Install the lock, each file checked against its hash: with uv, else with pip."""
    uv = VENV / "uv.txt"
    lines = LOCK.read_text().splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("uv=="))
    last = next(i for i in range(first, len(lines)) if not lines[i].endswith("\\"))
    uv.write_text("\n".join(lines[first : last + 1]) + "\n")
    exact = ["install", "--no-deps", "--require-hashes", "-r"]  # the lock names every package
    pip = [PYTHON, "-m", "pip", "--disable-pip-version-check", *exact]
    fast = [PYTHON, "-m", "uv", "pip", *exact, LOCK, "--python", PYTHON]
    if run("Install the installer, uv", [*pip, uv]) and (
        run("Download and install the packages", fast)
        or run("Once more, with the certificates of this machine", [*fast, "--system-certs"])
    ):
        return
    print("uv failed. Trying pip, which is slower but has settings of its own", flush=True)
    if not run("Download and install the packages with pip", [*pip, LOCK]):
        raise SetupError(
            "the packages could not be installed (the last lines above say why). Remedy: check the network, "
            "a proxy (HTTPS_PROXY) or the index that pip is set to (`pip config list`), then run this again."
        )


def run(name: str, *commands: list[object]) -> bool:
    """Run commands side by side with a dot a second, and show the last lines of a failure; whether all succeeded."""
    print(f"  {name} ", end="", flush=True)
    begun = time.monotonic()
    with tempfile.TemporaryFile() as output:
        started = [
            subprocess.Popen([str(word) for word in command], stdout=output, stderr=output, env=environment())
            for command in commands
        ]
        for process in started:
            while not ended(process):
                print(".", end="", flush=True)
        failed = any(process.returncode for process in started)
        print(f" {'failed' if failed else 'done'}, {time.monotonic() - begun:.0f} s", flush=True)
        output.seek(0)
        if failed:
            print(b"\n".join(output.read().splitlines()[-8:]).decode(errors="replace"), flush=True)
    return not failed


def ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether the process ended within a second."""
    try:
        process.wait(timeout=1)
    except subprocess.TimeoutExpired:
        return False
    return True


def environment() -> dict[str, str]:
    """The environment of the commands: Python keeps what it compiles, and uv caches only where it can."""
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    kept["PREFECT_HOME"] = str(VENV / "prefect")  # else its import makes a folder in the user's home
    kept["MPLCONFIGDIR"] = str(VENV / "matplotlib")  # so does matplotlib's
    kept |= {"DO_NOT_TRACK": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}
    if not kept.get("UV_CACHE_DIR"):
        kept.pop("UV_CACHE_DIR", None)  # uv reports an empty one as an error
        if not os.access(os.path.expanduser("~"), os.W_OK):  # noqa: PTH111 - Path raises where there is no home
            kept["UV_NO_CACHE"] = "1"
    return kept


if __name__ == "__main__":
    try:
        main()
    except SetupError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("\ninterrupted: run it again, it starts over")
