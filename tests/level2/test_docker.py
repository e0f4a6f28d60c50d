"""The image, as far as it can be tested without Docker: its files, packages, commands and health check."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from shared.settings import PROJECT
from shared.waiting import free_port
from tests.support import eventually, without

DOCKERFILE = PROJECT / "level2_devops" / "Dockerfile"
PORT = "8000"


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions in order, continued lines joined."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = re.sub(r"\s*\\\n\s*", " ", text).splitlines()
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines if line)]


def of(name: str) -> list[str]:
    return [rest for word, rest in instructions() if word == name]


def from_the_project() -> list[tuple[list[str], str]]:
    """The sources that are copied from the repository, and their targets."""
    copies = [rest.split() for rest in of("COPY") if not rest.startswith("--from")]
    return [(sources, to) for *sources, to in copies]


def let_through() -> set[str]:
    """The names that the ignore file lets into the build; its first line shuts out everything else."""
    lines = DOCKERFILE.with_name("Dockerfile.dockerignore").read_text(encoding="utf-8").split()
    assert lines[0] == "*"
    return {line.removeprefix("!") for line in lines if line.startswith("!")}


def test_every_file_that_is_copied_is_in_the_repository_and_let_through() -> None:
    names = [source for sources, _ in from_the_project() for source in sources]
    assert {"shared", "level2_devops", "requirements.txt"} <= set(names)
    for name in names:
        assert (PROJECT / name).exists(), name
        assert name in let_through(), name


def test_its_packages_are_those_of_level_2_in_the_lock() -> None:
    install = next(run for run in of("RUN") if "--group" in run)
    groups = re.findall(r"--group (\w+)", install)
    assert groups == ["shared", "level2"]
    assert "--require-hashes" in install
    assert "--constraints requirements.txt" in install
    declared = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]
    locked = re.findall(r"^([\w.-]+)==", (PROJECT / "requirements.txt").read_text(encoding="utf-8"), re.MULTILINE)
    for package in (re.split(r"[\[<=]", package)[0] for group in groups for package in declared[group]):
        assert package in locked, package


@pytest.mark.slow
def test_its_installer_finds_every_locked_package_in_the_index(tmp_path: Path) -> None:
    builder, packages = (
        run.rpartition("uv ")[2].replace("/venv", str(tmp_path / "venv")).split()
        for run in of("RUN")
        if "uv pip install" in run
    )
    uv = [sys.executable, "-m", "uv"]
    write_tools(tmp_path)
    shutil.copy(PROJECT / "pyproject.toml", tmp_path)
    subprocess.run([*uv, "venv", "--python", sys.executable, str(tmp_path / "venv")], capture_output=True, check=True)
    for command in (builder, [*packages, "--dry-run"]):
        done = subprocess.run([*uv, *command], cwd=tmp_path, capture_output=True, text=True, check=False)
        if "error sending request" in done.stderr:
            without("there is no network here")
        assert done.returncode == 0, done.stderr
    lock = (PROJECT / "requirements.txt").read_text(encoding="utf-8")
    chosen = re.findall(r"^ \+ (\S+==\S+)$", done.stderr, re.MULTILINE)
    assert len(chosen) > 20
    assert all(re.search(rf"^{re.escape(package)}\b", lock, re.MULTILINE) for package in chosen), chosen


@pytest.mark.parametrize("tool", ["uv", "setuptools"])
def test_installer_and_build_tool_are_taken_from_the_lock_with_their_hashes(tmp_path: Path, tool: str) -> None:
    write_tools(tmp_path)
    first, *hashes = (tmp_path / f"{tool}.txt").read_text().splitlines()
    assert re.match(rf"{tool}==[\d.]+", first)
    assert hashes
    assert all(line.strip().startswith("--hash=sha256:") for line in hashes)


def write_tools(folder: Path) -> None:
    """Copy the lock, and take out of it what the image is built with."""
    if shutil.which("awk") is None:
        pytest.skip("there is no awk here")
    shutil.copy(PROJECT / "requirements.txt", folder)
    awk = next(run for run in of("RUN") if run.startswith("awk")).partition(" && pip ")[0]
    subprocess.run(["sh", "-c", awk], cwd=folder, check=True)


def test_its_model_is_trained_by_a_verb_that_exists() -> None:
    train = next(run for run in of("RUN") if "level2_devops" in run)
    words = re.findall(r"/venv/bin/python (-m level2_devops \w+)", train)
    assert words == ["-m level2_devops train"]
    done = subprocess.run([sys.executable, *words[0].split(), "--help"], cwd=PROJECT, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_it_does_not_run_as_root() -> None:
    names = [word for word, _ in instructions()]
    user = names.index("USER")
    assert of("USER") == ["service"]
    assert user < names.index("CMD")
    assert any(rest.startswith("useradd") and rest.endswith(" service") for rest in of("RUN"))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signal that asks a process to end gracefully")
def test_its_command_runs_from_its_own_files_and_its_health_check_detects_readiness(
    small_model: Path, tmp_path: Path
) -> None:
    app = tmp_path / "app"
    for sources, to in from_the_project():
        for name in sources:
            if (PROJECT / name).is_dir():
                shutil.copytree(PROJECT / name, app / to, ignore=shutil.ignore_patterns("__pycache__", "*.png"))
    shutil.copytree(small_model, app / "model")
    port = str(free_port())
    command = json.loads(of("CMD")[0])
    command[command.index("--host") + 1] = "127.0.0.1"  # a container's network is its own, this machine's is not
    command[command.index("--port") + 1] = port
    check = json.loads(of("HEALTHCHECK")[0].partition("CMD ")[2])
    health = [sys.executable, *(word.replace(f":{PORT}/", f":{port}/") for word in check[1:])]
    plain = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def healthy() -> bool:
        return subprocess.run(health, capture_output=True, check=False).returncode == 0

    assert not healthy()
    process = subprocess.Popen([sys.executable, *command[1:]], cwd=app, env=plain, stderr=subprocess.DEVNULL)
    try:
        assert eventually(lambda: healthy() or process.poll() is not None, 60)
        assert process.poll() is None
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    assert not healthy()
