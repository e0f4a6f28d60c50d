"""`make notebook`: JupyterLab on a copy of the notebook, on loopback, until Ctrl-C."""

import json
import os
import secrets
import shutil
import sys
import webbrowser
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from math import inf
from pathlib import Path

from level1_notebook.jupyter_environment import NOTEBOOK, jupyter_environment
from shared.console import console, step
from shared.errors import UserError
from shared.processes.children import Process, running
from shared.settings import Settings
from shared.waiting import comes_up, free_port, wait_until

START_SECONDS = 60
NO_NEWS = {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True}


def own_copy(settings: Settings) -> Path:
    """The user's own copy of the notebook, made if there is none, so that the committed one does not change."""
    copy = settings.level("level1") / "desk" / NOTEBOOK.name
    if not copy.exists():
        copy.parent.mkdir(exist_ok=True)
        shutil.copyfile(NOTEBOOK, copy)
    return copy


@contextmanager
def lab(settings: Settings, folder: Path) -> Iterator[tuple[str, Process]]:
    """JupyterLab on `folder` while the block runs: its address with the token, and its process. Raises UserError."""
    environment = {**jupyter_environment(settings), "JUPYTER_TOKEN": secrets.token_hex(16)}
    notices = Path(environment["JUPYTERLAB_SETTINGS_DIR"]) / "@jupyterlab/apputils-extension"
    notices.mkdir(parents=True, exist_ok=True)
    (notices / "notification.jupyterlab-settings").write_text(json.dumps(NO_NEWS))
    address = f"http://127.0.0.1:{(port := free_port())}"
    log = settings.level("level1") / "jupyterlab.log"
    log.unlink(missing_ok=True)
    with running(["jupyterlab", *_options(port, folder)], log, environment) as process:
        if not comes_up(f"{address}/api", START_SECONDS, lambda: process.poll() is not None):
            last = (log.read_text().strip().splitlines() or ["nothing was logged"])[-1]
            raise UserError(f"JupyterLab does not answer at {address} ({last}). Remedy: see {log}.")
        yield f"{address}/lab/tree/{NOTEBOOK.name}?token={environment['JUPYTER_TOKEN']}", process


def _options(port: int, folder: Path) -> list[str]:
    """Loopback only; it opens no browser and looks for no news, updates or extensions on the internet."""
    return [
        "--no-browser",
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={port}",
        "--ServerApp.port_retries=0",
        f"--ServerApp.root_dir={folder}",
        "--ServerApp.allow_root=True",  # containers in classrooms run as root
        "--KernelManager.transport_encryption=auto",
        "--ServerApp.jpserver_extensions={'jupyter_lsp': False}",  # it would start npm to search for language servers
        "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LabApp.extension_manager=readonly",
    ]


def has_screen() -> bool:
    """Whether a browser could show anything: on Linux only where a display is set."""
    return not sys.platform.startswith("linux") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def open_lab(settings: Settings, *, browser: bool) -> None:
    """Open the notebook, in a browser if `browser` is true and there is a screen."""
    copy = own_copy(settings)
    with ExitStack() as opened:
        with step("Start JupyterLab"):
            address, process = opened.enter_context(lab(settings, copy.parent))
        console.print(f"  {address}")
        console.print(f"  This is your copy, {copy}; delete it to begin again. Ctrl-C ends JupyterLab.")
        if browser and has_screen():
            webbrowser.open(address)
        with suppress(KeyboardInterrupt):
            wait_until(lambda: process.poll() is not None, inf, pause=0.5)  # on Windows, wait() ignores Ctrl-C
