"""A new year begins in empty folders."""

from pathlib import Path

import pytest

from level4_deployment import prediction_log
from level4_deployment.control import client
from level5_monitoring import config
from level5_monitoring.live_year import replay_year
from shared.errors import UserError
from shared.files import write_json
from shared.processes.process_identity import this_process
from shared.settings import Settings
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
