"""A state folder that was moved or copied is refused, before anything is written into the original."""

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from level3_training_pipeline.library_setup import ARTEFACTS, STORE, refuse_moved_state
from level3_training_pipeline.tracking.mlflow_runs import open_tracking
from shared.errors import UserError
from shared.settings import PROJECT, Settings
from tests.foreign import contents
from tests.level3.world import World

COMMANDS = [  # of every level that opens the store, with the workspace whose store it opens
    ("", "level3_training_pipeline", "reproduce", "1"),
    ("level4", "level4_deployment", "platform"),
    ("level5", "level5_monitoring", "page"),
    ("demo", "level5_monitoring", "up"),
]


@pytest.fixture
def copied(world: World, tmp_path: Path) -> Settings:
    """Settings with a copy of a level 3 that has opened its store."""
    settings = replace(world.settings, state=tmp_path / "copy of it")
    shutil.copytree(world.settings.level("level3"), settings.level("level3"), dirs_exist_ok=True)
    return settings


@pytest.mark.parametrize(("workspace", "words"), [(first, rest) for first, *rest in COMMANDS])
def test_every_level_refuses_a_copy_in_one_line_and_writes_nothing(
    world: World, copied: Settings, workspace: str, words: list[str]
) -> None:
    home = copied.state / workspace if workspace else copied.level("level3")
    if workspace:
        home.mkdir()
        copied.level("level3").rename(home / "level3")
    before = contents(world.settings.level("level3") / "artifacts"), contents(copied.state)
    done = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=PROJECT,
        env={name: value for name, value in os.environ.items() if name != "MLOPS_WORKSPACE"}
        | {"MLOPS_STATE": str(copied.state)},
        capture_output=True,
        text=True,
        check=False,
    )
    there = world.settings.level("level3")
    assert done.returncode == 2
    place = (workspace or "level3").removeprefix("level")
    remedy = f"Remedy: make reset LEVEL={place}, to begin anew"
    assert re.fullmatch(rf"error: .* is a copy of {there}; .*{remedy}\.\n", done.stderr)
    assert before == (contents(there / "artifacts"), contents(copied.state))


def test_the_command_of_the_remedy_works_for_a_copy(copied: Settings) -> None:
    reset = [sys.executable, "-m", "shared.processes.reset", "3"]
    subprocess.run(reset, cwd=PROJECT, env=os.environ | {"MLOPS_STATE": str(copied.state)}, check=True)
    refuse_moved_state(copied)


def test_what_was_moved_can_be_moved_back(settings: Settings) -> None:
    """Only then: where the original still is, the copy would take its place."""
    there, moved = settings.level("level3"), replace(settings, state=settings.state / "moved")
    with closing(sqlite3.connect(there / STORE)) as store:
        store.execute("CREATE TABLE experiments (artifact_location TEXT)")
        store.execute("INSERT INTO experiments VALUES (?)", [(there / ARTEFACTS).as_uri()])
        store.commit()
    (there / STORE).rename(moved.level("level3") / STORE)
    remedy = rf"was moved from {there}; .*Remedy: make reset LEVEL=3, to begin anew; or move it back to {there}\."
    with pytest.raises(UserError, match=remedy):
        refuse_moved_state(moved)
    (moved.level("level3") / STORE).rename(there / STORE)
    refuse_moved_state(settings)


def test_a_workspace_that_no_command_clears_is_named_by_its_folder(copied: Settings) -> None:
    mine = replace(copied, workspace="mine")
    (copied.state / "mine").mkdir()
    copied.level("level3").rename(copied.state / "mine" / "level3")
    with pytest.raises(UserError, match=rf"Remedy: delete {copied.state / 'mine'}, to begin anew"):
        refuse_moved_state(mine)


def test_a_store_that_is_no_database_is_left_to_those_who_need_it(settings: Settings) -> None:
    (settings.level("level3") / STORE).write_text("half of a page")
    refuse_moved_state(settings)  # the platform serves without it
    with pytest.raises(UserError, match=rf"{STORE}.* Remedy: move"):
        open_tracking(settings)
