"""The command line of level 3 says what is missing before it loads a library."""

import sys

import pytest

from level3_training_pipeline import cli


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["deploy"], "is not the number of a version, such as VERSION=1"),
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
