"""A server that ends or does not start is reported at once; its users are known by more than a process number."""

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from level3_training_pipeline.orchestration.prefect_server import PrefectServer, ServerError
from level3_training_pipeline.orchestration.shared_server import is_used
from shared.process_identity import this_process
from tests.support import eventually


def test_a_server_that_died_at_once_is_not_waited_for(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", "pass"])  # nobody has fetched its status: it is a zombie
    eventually(lambda: psutil.Process(dead.pid).status() == psutil.STATUS_ZOMBIE)
    begun = time.monotonic()
    with pytest.raises(ServerError, match=r"does not answer .*Remedy: see .*server\.log"):
        PrefectServer(dead.pid, "http://127.0.0.1:9", str(tmp_path / "server.log")).wait()
    assert time.monotonic() - begun < 10
    dead.wait()


def test_a_number_that_came_back_is_no_user(tmp_path: Path) -> None:
    users = tmp_path / "users"
    users.mkdir()
    host, pid, born = this_process().split(":")
    (users / "killed").write_text(f"{host}:{pid}:{float(born) - 3600}")
    (users / "before the machine had another name").write_text(f"another:{pid}:{born}")
    assert not is_used(tmp_path)
    (users / "here").write_text(this_process())
    assert is_used(tmp_path)
    assert [file.name for file in users.iterdir()] == ["here"]
