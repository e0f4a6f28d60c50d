"""A command that others would harm is refused, with their names; one that was killed is in nobody's way."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from shared.errors import UserError
from shared.processes import process_identity
from shared.processes.at_work import FOLDER, at_work
from shared.processes.process_identity import this_process
from shared.processes.reset import remove, set_aside
from shared.settings import PROJECT, SettingError, Settings

HOLD = """
import dataclasses, sys
from shared.processes.at_work import at_work
from shared.settings import read_settings
with at_work(read_settings(), *sys.argv[1:3], once="once" in sys.argv, alone="alone" in sys.argv):
    print("begun", flush=True)
    sys.stdin.read()
"""


def start(settings: Settings, level: str, command: str, *how: str) -> "subprocess.Popen[str]":
    """A process that is at work, once it may, until its input is closed."""
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, level, command, *how],
        cwd=PROJECT,
        env={"MLOPS_STATE": str(settings.state), "MLOPS_WORKSPACE": settings.workspace},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def other(settings: Settings, level: str, command: str, *how: str) -> "subprocess.Popen[str]":
    """A command of another process that is at work; the end of a `with` block ends it."""
    process = start(settings, level, command, *how)
    assert process.stdout
    assert process.stdout.readline() == "begun\n"
    return process


def test_alone_is_refused_beside_any_command_of_the_level_and_once_beside_its_own_kind(settings: Settings) -> None:
    with other(settings, "level4", "make ui") as first:
        message = rf"at work in level4 already: make ui \(process {first.pid}, since \d\d:\d\d:\d\d\). Remedy: "
        with pytest.raises(UserError, match=message), at_work(settings, "level4", "make level4", alone=True):
            pytest.fail("the pages' state would go")
        with at_work(settings, "level4", "make level4", once=True), at_work(settings, "level3", "make ui", once=True):
            pass
        with pytest.raises(UserError, match=message), at_work(settings, "level4", "make ui", once=True):
            pytest.fail("two of them")
    with at_work(settings, "level4", "make level4", alone=True):
        pass


def test_all_levels_of_a_workspace_are_one_place(settings: Settings) -> None:
    demo = replace(settings, workspace="demo")
    with other(demo, "level3", "make schedule"):
        with pytest.raises(UserError, match="in demo already: make schedule"), at_work(demo, "level5", "x", alone=True):
            pytest.fail("its registry would go")
        with at_work(settings, "level3", "make level3", alone=True):
            pass


def test_a_killed_command_is_in_nobodys_way(settings: Settings) -> None:
    with other(settings, "level4", "make level4", "alone") as first:
        first.kill()
        first.wait()
        with at_work(settings, "level4", "make level4", alone=True):
            pass


def test_a_process_that_got_the_number_of_a_killed_one_is_not_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with other(settings, "level4", "make level4", "alone") as first:
        (file,) = (settings.state / FOLDER / "level4").glob("*.json")
        _, born = this_process().split(":")
        file.write_text(file.read_text().replace(f'"{first.pid}:', f'"{first.pid}:-'))  # born long before
        assert not process_identity.still_runs(f"{first.pid}:{float(born) - 3600}")
        with at_work(settings, "level4", "make level4", alone=True):
            pass


@pytest.mark.parametrize("text", ["", "12", "half:of:one", "x:y"])
def test_a_text_that_names_no_process_is_of_none_that_runs(text: str) -> None:
    assert not process_identity.still_runs(text)


def test_a_state_that_cannot_be_written_is_refused_with_the_remedy(settings: Settings) -> None:
    settings.state.write_text("a file where the folder should be")
    with pytest.raises(SettingError, match="Remedy: MLOPS_STATE="), at_work(settings, "level2", "make rollback"):
        pytest.fail("it has nowhere to register")
    with pytest.raises(SettingError, match=r"state/level2 cannot be written\. Remedy: MLOPS_STATE="):
        settings.level("level2")


def test_of_many_that_begin_at_once_one_is_let_in(settings: Settings) -> None:
    all_ = [start(settings, "level5", "make up", "once") for _ in range(6)]
    first = [process.stdout.readline() for process in all_ if process.stdout]
    errors = [process.communicate()[1] for process in all_]
    assert sorted(first) == [""] * 5 + ["begun\n"]
    assert sum("at work in level5 already: make up" in one for one in errors) == 5


def test_results_are_not_removed_while_a_command_is_at_work(settings: Settings) -> None:
    (settings.level("level4") / "log.db").write_text("a month's work")
    with other(settings, "level4", "make platform", "once") as platform:
        with pytest.raises(UserError, match=rf"make platform \(process {platform.pid}"):
            remove(settings, ["level1", "level4"])
        assert (settings.level("level4") / "log.db").exists()
    assert remove(settings, ["level1", "level4"]) == ["level4"]
    assert not (settings.state / "level4").exists()


@pytest.mark.parametrize("name", ["..", "../elsewhere", "."])
def test_nothing_outside_the_state_is_removed_or_renamed(settings: Settings, name: str) -> None:
    elsewhere = settings.state.parent / "elsewhere"
    elsewhere.mkdir()
    settings.state.mkdir()
    for act in (lambda: remove(settings, [name]), lambda: set_aside(settings, settings.state / name)):
        with pytest.raises(UserError, match=r"is not inside .*Remedy"):
            act()
    assert elsewhere.exists()


def test_a_link_to_elsewhere_is_not_followed(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    settings.state.mkdir()
    (settings.state / "level4").symlink_to(tmp_path / "mine")
    with pytest.raises(UserError, match="is not inside"):
        remove(settings, ["level4"])
    assert (tmp_path / "mine").exists()


def reset(settings: Settings, *words: str) -> "subprocess.CompletedProcess[str]":
    environment = {"MLOPS_STATE": str(settings.state)}
    command = [sys.executable, "-m", "shared.processes.reset", *words]
    return subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)


def test_reset_clears_one_level_and_clean_all(settings: Settings) -> None:
    for name in ("level1", "level4", "level4-before", "shared"):
        settings.level(name)
    with at_work(replace(settings, workspace="mine"), "level3", "make level3"):
        (settings.state / "mine").mkdir()
    assert "Removed from" in reset(settings, "4").stdout
    assert sorted(one.name for one in settings.state.iterdir()) == [FOLDER, "level1", "mine", "shared"]
    refused = reset(settings, "six")
    assert (refused.returncode, refused.stderr.count("make reset LEVEL=4, for example")) == (2, 1)
    with at_work(settings, "level1", "make notebook"):
        refused = reset(settings)
    assert refused.returncode == 2
    assert "make notebook (process " in refused.stderr
    assert reset(settings).returncode == 0
    assert [one.name for one in settings.state.iterdir()] == [FOLDER]
