"""No process of ours obeys a setting that a user has made for another project, and loopback never goes to a proxy."""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from shared.environment import FOREIGN, HARMLESS, cleaned
from shared.settings import PROJECT
from shared.waiting import answers
from tests.foreign import NOBODY, foreign_settings
from tests.project.sources import LEVELS, PACKAGES, modules
from tests.support import environment

THEIRS = {"PYARROW_IGNORE_TIMEZONE", "SPARK_LOCAL_IP"}  # Pandera sets them when it is imported, after ours have gone
OF_DATABRICKS = {"SERVERLESS_GPU_COMPUTE_ASSOCIATED_JOB_RUN_ID", "DISABLE_MLFLOWDBFS"}  # read on its machines only
USERS = {  # what the user's machine, terminal and network need, and our own settings
    "PATH": "/bin",
    "HOME": "/nowhere",
    "LANG": "C.UTF-8",
    "COLUMNS": "80",
    "PGPASSWORD": "of PREDICTION_LOG",
    "SSL_CERT_FILE": "/nowhere/certificates",
    "TODAY": "2013-07-01",
    "MLOPS_STATE": "/nowhere/state",
    "ALERTS": "console",
    "PYTHONUTF8": "1",
    "HTTPS_PROXY": "http://proxy.example.org:3128",
}


def source_of(name: str) -> str:
    file = PROJECT.joinpath(*name.split("."))
    return (file / "__init__.py" if file.is_dir() else file.with_suffix(".py")).read_text(encoding="utf-8")


STARTED = (  # by commands of ours, with the settings that they have made for the library
    "level2_devops.service.guarded",
    "level3_training_pipeline.orchestration.shared_server",
)
ENTRIES = [
    name.removesuffix(".__main__")
    for package in PACKAGES
    for name in modules(package)
    if '__name__ == "__main__"' in source_of(name) and "imports nothing of the project" not in source_of(name)
    if name not in STARTED
]
HEAVY = ("level5_monitoring.policy_backtest.calendars",)  # it loads MLflow first
# Runs a module as `python -m` does; its first act after `begin` prints the environment instead.
SHOW = """
import argparse, json, os, runpy, sys
import shared.errors

def show(*_):
    print(json.dumps(dict(os.environ)), flush=True)
    os._exit(0)

shared.errors.command = argparse.ArgumentParser.parse_args = show
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize("name", [pytest.param(one, marks=[pytest.mark.slow] * (one in HEAVY)) for one in ENTRIES])
def test_every_command_removes_the_settings_of_other_projects_and_keeps_the_users(name: str, tmp_path: Path) -> None:
    words = [sys.executable, "-c", SHOW, name]
    given = foreign_settings(tmp_path) | USERS
    if name not in LEVELS:  # what `make` or a level starts inherits no such path
        del given["PYTHONPATH"]
    done = subprocess.run(words, cwd=PROJECT, env=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert not {key for key in found if FOREIGN.match(key)} - HARMLESS - THEIRS
    assert found | USERS == found
    assert {found["no_proxy"], found["NO_PROXY"]} == {"127.0.0.1,localhost"}


def test_what_mlflow_and_prefect_read_is_removed_whatever_it_is() -> None:
    import mlflow.environment_variables as mlflow
    from prefect.settings import get_current_settings

    read = {one.name for one in vars(mlflow).values() if hasattr(one, "name") and hasattr(one, "get")}
    read |= set(get_current_settings().to_environment_variables())
    assert len(read) > 400
    assert {name for name in read if name in cleaned(dict.fromkeys(read, "x"))} <= OF_DATABRICKS


def test_a_notebooks_kernel_may_start_commands_since_only_the_project_stays_on_the_path() -> None:
    path = os.pathsep.join(["/elsewhere", str(PROJECT)])
    assert cleaned({"PYTHONPATH": path})["PYTHONPATH"] == str(PROJECT)
    assert "PYTHONPATH" not in cleaned({"PYTHONPATH": "/elsewhere"})


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({}, "127.0.0.1,localhost"),
        ({"NO_PROXY": "intranet, 10.0.0.1"}, "intranet,10.0.0.1,127.0.0.1,localhost"),
        ({"no_proxy": "localhost", "NO_PROXY": "intranet"}, "localhost,intranet,127.0.0.1"),
    ],
)
def test_what_the_user_excludes_from_the_proxy_stays_excluded(given: dict[str, str], found: str) -> None:
    kept = cleaned(given)
    assert (kept["no_proxy"], kept["NO_PROXY"]) == (found, found)
    assert cleaned(kept) == kept


def test_a_user_who_excludes_everything_still_does() -> None:
    assert cleaned({"NO_PROXY": "*"}) == {"NO_PROXY": "*"}


def test_every_http_client_reaches_loopback_directly_and_other_hosts_by_the_users_proxy(free: str) -> None:
    with environment(**cleaned({"HTTP_PROXY": NOBODY, "http_proxy": NOBODY, "ALL_PROXY": "socks5://127.0.0.1:9"})):
        os.environ.pop("ALL_PROXY", None)
        assert answers(free)
        assert httpx.get(free).status_code == 200
        assert not answers("http://flights.example.org")
        with pytest.raises(httpx.ConnectError, match="refused"):
            httpx.get("http://flights.example.org")


@pytest.fixture
def free() -> Iterator[str]:
    """The address of a server on loopback."""
    with ThreadingHTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make here")
def test_make_starts_python_without_the_settings_that_python_itself_obeys(tmp_path: Path) -> None:
    """PYTHONHOME and PYTHONSAFEPATH stop Python before the first line of ours."""
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\nenv\n")
    python.chmod(0o755)
    for name in ("Makefile", "requirements.txt", "bootstrap.py"):
        shutil.copy(PROJECT / name, tmp_path)
    (tmp_path / ".venv" / "ready").write_text(f"{(tmp_path / '.venv').as_posix()}\n")  # it was made here
    foreign = dict.fromkeys(("PYTHONHOME", "PYTHONSAFEPATH", "PYTHONPATH", "PYTHONWARNINGS"), "elsewhere")
    done = subprocess.run(
        ["make", "level3"], cwd=tmp_path, env=os.environ | foreign, capture_output=True, text=True, check=True
    )
    assert "PATH=" in done.stdout
    assert "elsewhere" not in done.stdout
    assert "PYTHONUTF8=1" in done.stdout
