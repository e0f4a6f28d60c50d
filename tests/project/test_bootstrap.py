"""The environment: made once, never taken for whole when it is not, and clear about what is missing."""

import os
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import bootstrap
from shared.settings import PROJECT


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of its own, whose environment is whole."""
    monkeypatch.setattr(bootstrap, "LOCK", tmp_path / "requirements.txt")
    monkeypatch.setattr(bootstrap, "READY", tmp_path / "ready")
    monkeypatch.setattr(bootstrap, "PYTHON", tmp_path / "python")
    bootstrap.LOCK.write_text("uv==1\n")
    bootstrap.PYTHON.touch()
    bootstrap.READY.write_text(bootstrap.wanted())
    assert bootstrap.is_ready()
    return tmp_path


def test_a_whole_environment_is_left_as_it_is(elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {file: file.read_bytes() for file in elsewhere.iterdir()}
    bootstrap.main()
    assert {file: file.read_bytes() for file in elsewhere.iterdir()} == before
    assert not capsys.readouterr().out


@pytest.mark.usefixtures("elsewhere")
def test_an_environment_without_its_last_file_or_its_python_is_not_whole() -> None:
    bootstrap.PYTHON.unlink()
    assert not bootstrap.is_ready()
    bootstrap.PYTHON.touch()
    bootstrap.READY.unlink()
    assert not bootstrap.is_ready()


@pytest.mark.usefixtures("elsewhere")
def test_another_lock_or_another_python_needs_another_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    bootstrap.LOCK.write_text("uv==2\n")
    assert not bootstrap.is_ready()
    bootstrap.LOCK.write_text("uv==1\n")
    assert bootstrap.is_ready()
    monkeypatch.setattr(sys, "version_info", (3, 99, 0, "final", 0))
    assert not bootstrap.is_ready()


def test_the_lock_holds_every_package_by_its_hash() -> None:
    lock = (PROJECT / "requirements.txt").read_text()
    packages = re.split(r"^(?=[a-z0-9][\w.-]*==)", lock, flags=re.MULTILINE)
    assert not packages[0]
    assert len(packages) > 200
    assert all("--hash=sha256:" in package for package in packages[1:])


def test_of_two_at_once_one_makes_the_environment_and_the_other_waits(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = []

    def make() -> None:
        made.append(1)
        time.sleep(0.5)  # the other one comes meanwhile
        bootstrap.READY.write_text(bootstrap.wanted())

    monkeypatch.setattr(bootstrap, "VENV", elsewhere / ".venv")
    monkeypatch.setattr(bootstrap, "make", make)
    bootstrap.READY.unlink()
    with ThreadPoolExecutor(2) as both:
        assert [one.result() for one in [both.submit(bootstrap.main) for _ in range(2)]] == [None] * 2
    assert made == [1]
    assert "Another command makes the environment" in capsys.readouterr().out


@pytest.mark.slow
def test_without_a_network_it_says_what_to_do_and_leaves_nothing_that_looks_whole(tmp_path: Path) -> None:
    for name in ("bootstrap.py", "requirements.txt"):
        shutil.copy(PROJECT / name, tmp_path)
    cut_off = {"HTTPS_PROXY": "http://127.0.0.1:9", "PIP_RETRIES": "0", "PIP_CONFIG_FILE": os.devnull}
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PIP_", "UV_"))}
    done = subprocess.run(
        [sys.executable, "bootstrap.py"], cwd=tmp_path, env=kept | cut_off, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "Remedy: check the network" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert not (tmp_path / ".venv" / "ready").exists()
