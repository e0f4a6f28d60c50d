"""A new year begins in empty folders, and the terminal shows what changes during it."""

from pathlib import Path

import pandas as pd
import pytest

from level4_deployment import prediction_log
from level4_deployment.control import audit, client
from level4_deployment.replay_client import ReplayStats
from level5_monitoring import config, replay_year
from level5_monitoring.loop.policy import Decision
from shared.data.replay import Tick
from shared.errors import UserError
from shared.files import write_json
from shared.processes.process_identity import this_process
from shared.settings import NEW_YORK, Settings
from tests.factories import insert, prediction


def test_the_last_year_is_kept_beside_the_new_one(level5_settings: Settings) -> None:
    (config.own(level5_settings) / "kept").touch()
    replay_year.clear_last_year(level5_settings)
    assert (level5_settings.state / "level5-before" / "kept").exists()
    assert not (config.own(level5_settings) / "kept").exists()


def test_a_running_platform_is_left_alone(level5_settings: Settings) -> None:
    """A file that a killed platform has left does not count as running."""
    folder = config.platform(level5_settings)
    addresses = {"control": "http://127.0.0.1:1", "service": "http://127.0.0.1:2", "process": this_process()}
    write_json(folder / client.ADDRESSES, addresses)
    with pytest.raises(UserError, match="make down"):
        replay_year.clear_last_year(level5_settings)
    pid, _ = this_process().split(":")
    write_json(folder / client.ADDRESSES, addresses | {"process": f"{pid}:0.0"})
    replay_year.clear_last_year(level5_settings)


def test_a_log_elsewhere_with_predictions_is_left_alone(
    level5_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = f"sqlite:///{tmp_path / 'elsewhere.db'}"
    monkeypatch.setenv("PREDICTION_LOG", elsewhere)
    replay_year.clear_last_year(level5_settings)  # it is empty
    with prediction_log.open_log(elsewhere) as log:
        insert(log, prediction_log.PREDICTIONS, prediction())
    with pytest.raises(UserError, match="has predictions already"):
        replay_year.clear_last_year(level5_settings)


def test_decisions_actions_and_monday_figures_are_printed(
    level5_settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    """A decision that changes something; each action once, with its actor; without a terminal, figures on Mondays."""
    with config.open_log(level5_settings) as log:
        view = replay_year.ConsoleView(log)
        view.print_decision(Decision("2013-05-04", "no_action", "all is well"))
        view.print_decision(Decision("2013-05-04", "roll_back", "it is worse"))
        audit.record(log, audit.move("loop", audit.PROMOTE, 1, 2, "it is better"))
        for day in ("2013-05-05", "2013-05-06"):
            end, empty = pd.Timestamp(day, tz=NEW_YORK).tz_convert("UTC"), pd.DataFrame()
            tick = Tick(end - pd.Timedelta(hours=12), end, empty, empty)
            view.update(tick, ReplayStats(flights=1234, failed=0))
    assert [line.strip() for line in capsys.readouterr().out.splitlines()] == [
        "May 04 roll back: it is worse",
        "May 05 promote 1 → 2, by loop",
        "May 06  1,234 flights answered, 0 requests failed",
    ]
