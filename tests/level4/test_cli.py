"""Level 4's command line: its verbs, what it refuses, and what it shows in a narrow terminal."""

import re
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict
from typing import Any

import pytest

from level4_deployment import cli
from shared.console import console
from shared.errors import UserError
from tests.factories import experiment

NUMBER, SHARE = "is not the number of a version, such as VERSION=1", "is not a share between 0 and 1"


@pytest.mark.parametrize(
    ("words", "why", "remedy"),
    [
        (["deliver"], "required: VERSION", "make deliver VERSION=1"),
        (["explain"], "required: REQUEST", "make explain REQUEST=id"),
        (["submit", "abc"], f"VERSION: 'abc' {NUMBER}", "make submit VERSION=2"),
        (["promote", "0"], f"'0' {NUMBER}", "make promote VERSION=2"),
        (["promote", "99999999999999999999"], NUMBER, "make promote VERSION=2"),
        (["traffic-split", "nan"], f"'nan' {SHARE}", "make traffic-split SHARE=0.3"),
        (["traffic-split", "1"], f"'1' {SHARE}", "make traffic-split SHARE=0.3"),
        (["stream", "--level", "3"], "invalid choice: '3'", "make stream FROM=2013-05-01"),
        (["rollback", "--reason", "no"], "a reason needs 3 to 500 characters", "--help shows"),
    ],
)
def test_a_missing_or_wrong_value_is_refused_with_a_remedy_before_anything_is_asked(
    monkeypatch: pytest.MonkeyPatch, words: list[str], why: str, remedy: str
) -> None:
    monkeypatch.setattr("sys.argv", ["level4_deployment", *words])
    with pytest.raises(UserError, match=rf"{re.escape(why)}.*\. Remedy: {re.escape(remedy)}"):
        cli.main()


def test_without_a_verb_the_level_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    run: list[object] = []
    monkeypatch.setattr("sys.argv", ["level4_deployment"])
    monkeypatch.setattr(cli, "run_level", run.append)
    cli.main()
    assert len(run) == 1


class Platform:
    """Version 4 has lost to version 2, and version 3 was refused by a gate; newest: the state of version 5's trial."""

    newest = "rejected"

    def get(self, path: str) -> Any:
        if path == "/status":
            states = {"4-against-2-no2": "rejected", "5-against-2-no3": self.newest}
            made = [asdict(experiment(experiment=name, state=state)) for name, state in states.items()]
            return {"routes": None, "degraded": "", "experiments": made}
        moved = {"at": 0.0, "actor": "operator", "version": 3, "experiment": None, "reason": "no better one was there"}
        return [moved | {"action": "promote", "old_value": "2", "new_value": "3", "status": "cut_off"}]

    def post(self, path: str, **_body: object) -> dict[str, str]:
        return {"against": "was refused by the gate quality" if "/3/" in path else ""}


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """What a command prints in 80 columns, words apart by one space."""
    monkeypatch.setattr(cli, "operator", lambda: nullcontext(Platform()))
    monkeypatch.setattr(console, "width", 80)

    def run(*words: str) -> str:
        monkeypatch.setattr("sys.argv", ["level4_deployment", *words])
        cli.main()
        return " ".join(capsys.readouterr().out.split())

    return run


def test_nothing_to_stop_and_a_promotion_against_a_gate_are_told(told: Callable[..., str]) -> None:
    assert "No experiment is running: there is nothing to stop." in told("stop")
    shown = told("promote", "3")
    warning = shown.index("Warning: version 3 serves now, although it was refused by the gate quality.")
    assert shown.index("5-against-2-no3 rejected") < warning
    assert "Warning" not in told("promote", "2")


def test_in_80_columns_every_name_is_whole_and_an_experiment_that_has_ended_needs_no_plan(
    monkeypatch: pytest.MonkeyPatch, told: Callable[..., str]
) -> None:
    assert told("audit").endswith("operator: promote 2 → 3 (cut off) no better one was there")
    assert "The plan:" not in told("status")
    for state in ("running", "awaiting approval"):
        monkeypatch.setattr(Platform, "newest", state)
        shown = told("status")
        assert (shown.count("a look every 7"), shown.count("5-against-2-no3: power unknown")) == (1, 1)
        assert "4-against-2-no2 rejected" in shown
        assert "4-against-2-no2: power" not in shown
