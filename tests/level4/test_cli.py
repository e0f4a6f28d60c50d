"""Level 4's command line: its verbs, and what it says to a verb without its value."""

import re
from argparse import Namespace

import pytest

from level4_deployment import cli
from shared.errors import UserError


def test_the_verbs_are_those_that_the_make_targets_use(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["level4_deployment", "--help"])
    with pytest.raises(SystemExit):
        cli.main()
    shown = capsys.readouterr().out
    names = (
        "platform deliver stream submit status audit promote rollback approve traffic-split stop explain simulate-ab"
    )
    assert re.findall(r"^    (\S+)", shown, re.MULTILINE) == [*names.split(), "benchmark-serving"]


@pytest.mark.parametrize(
    ("verb", "remedy"),
    [
        ("deliver", "make deliver VERSION=1"),
        ("submit", "make submit VERSION=2"),
        ("promote", "make promote VERSION=2"),
        ("traffic-split", "make traffic-split SHARE=0.3"),
        ("explain", "make explain REQUEST=id"),
    ],
)
def test_a_verb_without_its_value_is_refused_with_an_example(
    monkeypatch: pytest.MonkeyPatch, verb: str, remedy: str
) -> None:
    monkeypatch.setattr("sys.argv", ["level4_deployment", verb])
    with pytest.raises(UserError, match=f"{verb} needs a value. Remedy: {remedy}"):
        cli.main()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["submit", "abc"], "'abc' is not the number of a version"),
        (["promote", "0"], "'0' is not the number of a version"),
        (["promote", "99999999999999999999"], "is not the number of a version"),
        (["traffic-split", "nan"], "'nan' is not a share between 0 and 1"),
        (["traffic-split", "1"], "'1' is not a share between 0 and 1"),
        (["rollback", "--reason", "no"], "a reason needs 3 to 500 characters"),
    ],
)
def test_a_wrong_value_is_refused_before_anything_is_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    monkeypatch.setattr("sys.argv", ["level4_deployment", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert says in capsys.readouterr().err


def test_without_a_verb_the_level_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    run: list[object] = []
    monkeypatch.setattr("sys.argv", ["level4_deployment"])
    monkeypatch.setattr(cli, "run_level", run.append)
    cli.main()
    assert len(run) == 1


EXPERIMENT = {"experiment": "4-against-2-no2", "challenger": 4, "state": "rejected", "reason": "worse: mean gain -0.06"}


@pytest.mark.parametrize(
    ("name", "value", "goes_on", "says"),
    [
        ("stop", None, False, "No experiment is running: there is nothing to stop."),
        ("promote", 4, True, "Warning: version 4 was rejected in 4-against-2-no2: worse: mean gain -0.06."),
        ("promote", 2, True, ""),
        ("rollback", None, True, ""),
    ],
)
def test_what_is_in_vain_or_against_a_verdict_is_said_first(
    capsys: pytest.CaptureFixture[str], name: str, value: int | None, goes_on: bool, says: str
) -> None:
    assert cli._worth_doing({"experiments": [EXPERIMENT]}, Namespace(name=name, value=value)) == goes_on
    said = capsys.readouterr().out
    assert says in said
    assert bool(said) == bool(says)
