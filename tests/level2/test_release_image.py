"""The Dockerfile fits the repository: what it copies exists, and what it starts really serves."""

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
import urllib.request
from pathlib import Path

import pytest

from level2_devops.golden import ask
from level2_devops.request import EXAMPLE
from shared.settings import PROJECT

FILE = PROJECT / "level2_devops" / "Dockerfile"


@pytest.fixture(scope="module")
def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions, continued lines joined, in order."""
    text = re.sub(r"^#.*\n", "", FILE.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in text.splitlines() if line.strip()]


def the_last(instructions: list[tuple[str, str]], name: str) -> str:
    return [rest for instruction, rest in instructions if instruction == name][-1]


def ignored(name: str) -> bool:
    """Whether the build context leaves `name` out: all but what the ignore file lets in."""
    lines = FILE.with_name("Dockerfile.dockerignore").read_text().split()
    assert lines[0] == "*"
    return f"!{name}" not in lines


def test_everything_it_copies_is_in_the_repository_or_was_built_before(instructions: list[tuple[str, str]]) -> None:
    made = {"/venv", "/app/shared", "/app/level2_devops", "/app/model"}  # by the first stage
    for name, rest in instructions:
        words = shlex.split(rest)
        if name == "COPY" and words[0].startswith("--from="):
            assert words[0] == "--from=built"
            assert words[1] in made
        elif name == "COPY":
            for source in words[:-1]:
                assert (PROJECT / source).exists(), source
                assert not ignored(source), f"{source} is not in the build's context"


def test_the_installer_that_it_cuts_out_of_the_lock_is_whole(instructions: list[tuple[str, str]]) -> None:
    command = next(rest for name, rest in instructions if name == "RUN" and "awk" in rest).split(" > ")[0]
    cut = subprocess.run(["sh", "-c", command], cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    assert re.fullmatch(r"uv==[\d.]+ \\\n(    --hash=sha256:[0-9a-f]{64}( \\)?\n)+", cut)
    assert not cut.endswith("\\\n")


def test_the_groups_that_it_installs_are_declared_and_hashes_are_required(instructions: list[tuple[str, str]]) -> None:
    install = next(rest for name, rest in instructions if name == "RUN" and "uv pip install" in rest)
    assert "--require-hashes --constraints requirements.txt" in install
    declared = tomllib.loads((PROJECT / "pyproject.toml").read_text())["dependency-groups"]
    groups = re.findall(r"--group (\w+)", install)
    assert groups == ["shared", "level2"]
    assert set(groups) <= set(declared)


def test_it_runs_as_a_user_without_rights_and_its_health_is_readiness(instructions: list[tuple[str, str]]) -> None:
    assert the_last(instructions, "USER") == "service"
    assert "/ready" in the_last(instructions, "HEALTHCHECK")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="the image is a Linux")
def test_its_command_serves_the_model(instructions: list[tuple[str, str]], small_model: Path, tmp_path: Path) -> None:
    for name in ("shared", "level2_devops"):
        (tmp_path / name).symlink_to(PROJECT / name, target_is_directory=True)
    (tmp_path / "model").symlink_to(small_model, target_is_directory=True)
    words = json.loads(the_last(instructions, "CMD"))
    here = {"/venv/bin/python": sys.executable, "0.0.0.0": "127.0.0.1", "8000": "0"}  # noqa: S104 - taken out of it
    process = subprocess.Popen(
        [here.get(word, word) for word in words],
        cwd=tmp_path,
        env=os.environ | dict(pair.split("=") for pair in the_last(instructions, "ENV").split()),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout
        address = json.loads(process.stdout.readline())["address"]
        check = the_last(instructions, "HEALTHCHECK").split("CMD ")[1]
        healthy = [here.get(word, word).replace("http://127.0.0.1:8000", address) for word in json.loads(check)]
        assert subprocess.run(healthy, check=False).returncode == 0
        assert ask(address, "/predict", EXAMPLE)["version"] == "image"
        with urllib.request.urlopen(address + "/docs") as page:
            assert page.status == 200
    finally:
        process.terminate()
        process.communicate(timeout=20)
    assert process.returncode == 0
