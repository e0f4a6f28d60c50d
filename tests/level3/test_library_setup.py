"""A state folder that was moved or copied is refused, before anything is written into the original."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from level3_training_pipeline.library_setup import STORE, refuse_moved_state
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
    assert re.fullmatch(rf"error: .* moved or copied from {there}; .*Remedy: move it back to {there}.*\n", done.stderr)
    assert f"or delete {home} to begin anew" in done.stderr
    assert before == (contents(there / "artifacts"), contents(copied.state))


def test_both_remedies_work(world: World, copied: Settings) -> None:
    shutil.rmtree(copied.level("level3"))
    refuse_moved_state(copied)
    refuse_moved_state(world.settings)


def test_a_store_that_is_no_database_is_left_to_those_who_need_it(settings: Settings) -> None:
    (settings.level("level3") / STORE).write_text("half of a page")
    refuse_moved_state(settings)  # the platform serves without it
    with pytest.raises(UserError, match=rf"{STORE}.* Remedy: move"):
        open_tracking(settings)
