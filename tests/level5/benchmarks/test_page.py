"""The benchmark opens the page of a year that was played, and fails where an opening exceeds the budget."""

from dataclasses import replace

import pytest

from level5_monitoring import config
from level5_monitoring.benchmarks import page
from shared.console import console
from shared.errors import UserError
from shared.settings import Settings
from tests.level5.three_weeks import fill


def test_the_page_of_a_year_that_was_played_opens_within_the_budget(
    level5_settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(console, "width", 120)
    monkeypatch.setattr(page, "OPENINGS", 3)
    with pytest.raises(UserError, match="make level5 or make up"):
        page.main()
    with config.open_log(replace(level5_settings, workspace=config.LEVEL)) as log:
        fill(log)
    page.main()
    assert "a year that was played" in capsys.readouterr().out


def test_an_opening_above_the_budget_is_an_error() -> None:
    page.check_budget({"a year": [0.1, page.BUDGET]})
    with pytest.raises(UserError, match=r"took 2.1 s to open once; 2 s are the most"):
        page.check_budget({"a year": [0.1, 2.1]})
