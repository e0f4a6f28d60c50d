"""`python -m level1_notebook.open_notebook`: JupyterLab on a copy of the notebook, on loopback, until Ctrl-C."""

import argparse
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import webbrowser
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from level1_notebook.jupyter_environment import jupyter_environment
from shared.console import console, step
from shared.errors import UserError, command
from shared.settings import Settings, read_settings

NOTEBOOK = Path(__file__).with_name("flight_delays.ipynb")
START_SECONDS = 60
QUIET = {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True}


class LabError(UserError):
    """JupyterLab did not come up."""


def copy_to_the_desk(settings: Settings) -> Path:
    """The user's own copy of the notebook, made if there is none: the committed one stays as it is."""
    copy = settings.level("level1") / "desk" / NOTEBOOK.name
    if not copy.exists():
        copy.parent.mkdir(exist_ok=True)
        shutil.copyfile(NOTEBOOK, copy)
    return copy


@contextmanager
def lab(settings: Settings, folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """JupyterLab on `folder` while the block runs: its address with the token, and its process. Raises LabError."""
    environment = {**jupyter_environment(settings), "JUPYTER_TOKEN": secrets.token_hex(16)}
    notices = Path(environment["JUPYTERLAB_SETTINGS_DIR"]) / "@jupyterlab/apputils-extension"
    notices.mkdir(parents=True, exist_ok=True)
    (notices / "notification.jupyterlab-settings").write_text(json.dumps(QUIET))
    address = f"http://127.0.0.1:{(port := _free_port())}"
    log = settings.level("level1") / "jupyterlab.log"
    with log.open("w") as writing:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *_options(port, folder)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=writing,
            stderr=writing,
            start_new_session=True,  # or Ctrl-C would make it ask whether we are sure
        )
        try:
            _wait_until_up(process, f"{address}/api", log)
            yield f"{address}/lab/tree/{NOTEBOOK.name}?token={environment['JUPYTER_TOKEN']}", process
        finally:
            process.terminate()
            process.wait(timeout=20)


def _options(port: int, folder: Path) -> list[str]:
    """Loopback only; no browser of its own, no news, no look for updates or extensions in the net."""
    return [
        "--no-browser",
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={port}",
        "--ServerApp.port_retries=0",
        f"--ServerApp.root_dir={folder}",
        "--ServerApp.allow_root=True",  # containers in class rooms run as root
        "--KernelManager.transport_encryption=auto",
        "--ServerApp.jpserver_extensions={'jupyter_lsp': False}",  # it would start npm to look for language servers
        "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LabApp.extension_manager=readonly",
    ]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_up(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.2)
    last = (log.read_text().strip().splitlines() or ["nothing was logged"])[-1]
    raise LabError(f"JupyterLab did not answer at {url} ({last}). Remedy: read {log}; is jupyterlab installed?")


def has_a_screen() -> bool:
    """Whether a browser could show anything: on Linux only where a display is set."""
    return not sys.platform.startswith("linux") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def main() -> None:
    """Open the notebook, in a browser where there is a screen."""
    options = argparse.ArgumentParser(prog="python -m level1_notebook.open_notebook", description=__doc__)
    options.add_argument("--no-browser", action="store_true", help="only print the address")
    no_browser = options.parse_args().no_browser
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that JupyterLab ends with us
    copy = copy_to_the_desk(settings := read_settings())
    with ExitStack() as open_things:
        with step("Start JupyterLab"):
            address, process = open_things.enter_context(lab(settings, copy.parent))
        console.print(f"  {address}")
        console.print(f"  This is your copy, {copy}; delete it to begin anew. Ctrl-C ends JupyterLab.")
        if not no_browser and has_a_screen():
            webbrowser.open(address)
        with suppress(KeyboardInterrupt):
            process.wait()


if __name__ == "__main__":
    command(main)
