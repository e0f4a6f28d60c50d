"""The command line of level 3 says what is missing before it loads a library."""

import re
import sys
from datetime import date
from pathlib import Path

import pytest

from level3_training_pipeline import cli, ui
from level3_training_pipeline.library_setup import set_up_libraries
from shared.errors import UserError
from shared.settings import Settings


@pytest.mark.parametrize(
    ("words", "why", "remedy"),
    [
        (["deploy"], "required: VERSION", "make deploy VERSION=1"),
        (["reproduce", "²"], "'²' is not the number of a version", "make reproduce VERSION=1"),
        (["seeds", ""], "'' is not the number of a version", "make seeds VERSION=1"),
        (["schedule", "--every", "0"], "'0' is not a time of at least 1 second", "--help"),
        (
            ["schedule", "--every", "1e300"],
            "'1e300' is not a time of at least 1 second, and of a year at most",
            "--help",
        ),
        (["schedule", "--every", "nan"], "'nan' is not a time of at least 1 second", "--help"),
        (["schedule", "--trials", "0"], "'0' is not a whole number of at least 1", "--help"),
        (["train"], "invalid choice: 'train'", "--help"),
    ],
)
def test_a_missing_or_wrong_word_is_refused_with_a_remedy(
    words: list[str], why: str, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["level3", *words])
    with pytest.raises(UserError, match=rf"{re.escape(why)}.*\. Remedy: {re.escape(remedy)}"):
        cli.main()


def test_a_state_folder_with_a_question_mark_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"take no \? in .*a\?b\. Remedy: MLOPS_STATE="):
        set_up_libraries(Settings(date(2013, 4, 1), None, tmp_path / "a?b"))
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(("words", "place"), [(["ui"], "level 3"), (["ui", "--level", "4"], "level 4")])
def test_ui_names_the_store_that_it_opens_and_how_to_open_the_others(
    words: list[str],
    place: str,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    opened: list[Path] = []
    monkeypatch.setattr(sys, "argv", ["level3", *words])
    monkeypatch.setenv("MLOPS_STATE", str(settings.state))
    monkeypatch.setattr(ui, "serve_pages", lambda settings: opened.append(settings.level("level3")))
    cli.main()
    (store,) = opened
    assert store == settings.state / ("level3" if place == "level 3" else "level4/level3")
    said = capsys.readouterr().out
    assert f"The store of {place}: {store}." in said
    assert said.count("make ui LEVEL=") == 2
