"""The command line passes each verb's arguments on, and refuses others."""

import sys

import pytest

from level5_monitoring import cli, config, run
from level5_monitoring.loop import explain, schedule
from shared.errors import UserError
from shared.settings import Settings


def call(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr(sys, "argv", ["level5_monitoring", *words])
    cli.main()


def test_without_a_verb_it_runs_the_level(level5_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []

    def configure() -> Settings:
        called.append("configure")
        return level5_settings

    monkeypatch.setattr(config, "configure", configure)
    monkeypatch.setattr(run, "main", lambda: called.append("run"))
    call(monkeypatch)
    assert called == ["configure", "run"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [(["explain", "2013-05-06"], "2013-05-06"), (["monitor"], None), (["monitor", "--every", "5"], 5.0)],
)
def test_a_verb_gets_its_arguments(
    words: list[str], expected: object, level5_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    got: list[object] = []
    monkeypatch.setattr(config, "configure", lambda: level5_settings)
    monkeypatch.setattr(explain, "show_decision", got.append)
    monkeypatch.setattr(schedule, "monitor", lambda _, every: got.append(every))
    call(monkeypatch, *words)
    assert got == [expected]


@pytest.mark.parametrize(
    "words",
    [["dance"], ["explain"], ["monitor", "--every", "0"], ["monitor", "--every", "nan"], ["up", "--every", "5"]],
)
def test_other_words_are_refused(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit) as ended:
        call(monkeypatch, *words)
    assert ended.value.code == 2


def test_without_a_year_there_is_nothing_to_report(level5_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "configure", lambda: level5_settings)
    with pytest.raises(UserError, match="Remedy: make level5"):
        call(monkeypatch, "reports", "--no-pages")


def test_accept_without_a_code_asks_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"^accept needs a value\. Remedy: make accept CARRIER=VX, or"):
        call(monkeypatch, "accept", "carrier", "")
