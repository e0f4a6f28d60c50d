"""A server that ends or does not start is reported at once; its users are known by more than a process number."""

import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil
import pytest

from level3_training_pipeline.library_setup import set_up_libraries
from level3_training_pipeline.orchestration import prefect_server as servers
from level3_training_pipeline.orchestration.prefect_server import PrefectServer, ServerError
from level3_training_pipeline.orchestration.shared_server import is_used
from shared.processes.process_identity import identity, this_process
from shared.settings import Settings
from tests.level3.world import World
from tests.support import eventually


def test_a_server_that_died_at_once_is_not_waited_for(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", "pass"])  # nobody has fetched its status: it is a zombie
    eventually(lambda: psutil.Process(dead.pid).status() == psutil.STATUS_ZOMBIE)
    begun = time.monotonic()
    with pytest.raises(ServerError, match=r"does not answer .*Remedy: see .*server\.log"):
        PrefectServer(identity(dead.pid), "http://127.0.0.1:9", str(tmp_path / "server.log")).wait()
    assert time.monotonic() - begun < 10
    dead.wait()


@pytest.mark.slow
def test_pages_of_other_sites_can_neither_read_nor_start_anything(world: World) -> None:
    """MLflow and Evidently: see the tests of `make ui` and of the reports; the rules: the tests of level 2's limits."""
    for origin, status in (("http://evil.example", 403), (world.server.address, 201)):
        headers, flow = {"origin": origin}, {"name": "by a page"}
        answer = httpx.post(f"{world.server.api}/flows/", json=flow, headers=headers, timeout=60)
        assert answer.status_code == status, answer.text
    read = httpx.get(world.server.health, headers={"origin": "http://evil.example"}, timeout=60)
    assert "access-control-allow-origin" not in read.headers


def test_a_number_that_came_back_is_no_user(tmp_path: Path) -> None:
    users = tmp_path / "users"
    users.mkdir()
    pid, born = this_process().split(":")
    (users / "killed").write_text(f"{pid}:{float(born) - 3600}")
    assert not is_used(tmp_path)
    (users / "here").write_text(this_process())
    assert is_used(tmp_path)
    assert [file.name for file in users.iterdir()] == ["here"]


@pytest.mark.slow
def test_the_server_reads_no_file_of_the_folder_in_which_a_command_is_given(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prefect reads these three files of the current folder, and would make its tables in that database."""
    foreign = f"sqlite+aiosqlite:///{tmp_path / 'foreign.db'}"
    (tmp_path / ".env").write_text(f"PREFECT_SERVER_DATABASE_CONNECTION_URL={foreign}\n")
    (tmp_path / "prefect.toml").write_text(f'[server.database]\nconnection_url = "{foreign}"\n')
    (tmp_path / "pyproject.toml").write_text(f'[tool.prefect.server.database]\nconnection_url = "{foreign}"\n')
    monkeypatch.chdir(tmp_path)
    set_up_libraries(settings)
    with servers.prefect_server(settings) as server:
        server.wait()
    assert (settings.level("level3") / "prefect" / "prefect.db").exists()
    assert not (tmp_path / "foreign.db").exists()
