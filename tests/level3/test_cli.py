"""The command line of level 3 says what is missing before it loads a library."""

import sys
from datetime import date
from pathlib import Path

import pytest

from level3_training_pipeline import cli, ui
from level3_training_pipeline.library_setup import set_up_libraries
from shared.errors import UserError
from shared.settings import Settings


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["deploy", "²"], "'²' is not the number of a version"),
        (["reproduce", "9" * 20], "is not the number of a version"),
        (["schedule", "--every", "1e300"], "'1e300' is not a time of at least 1 second, and of a year at most"),
        (["reproduce", "latest"], "'latest' is not the number of a version, such as VERSION=1"),
        (["schedule", "--trials", "0"], "'0' is not a whole number of at least 1"),
        (["schedule", "--trials", "many"], "'many' is not a whole number of at least 1"),
        (["schedule", "--every", "0"], "'0' is not a time of at least 1 second"),
        (["schedule", "--every", "nan"], "'nan' is not a time of at least 1 second"),
        (["train"], "invalid choice: 'train'"),
    ],
)
def test_a_wrong_word_is_refused(
    words: list[str], says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["level3", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("words", [["deploy"], ["deploy", ""], ["reproduce"], ["seeds"]])
def test_a_version_that_is_missing_is_asked_for_by_the_command(
    words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["level3", *words])
    with pytest.raises(UserError, match=rf"^{words[0]} needs a value\. Remedy: make {words[0]} VERSION=1, for example"):
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
