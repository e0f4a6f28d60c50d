"""The settings, and the message for a setting that cannot be used."""

import os
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from shared.settings import FIRST_TODAY, LAST_TODAY, PROJECT, SettingError, Settings, read_settings, user


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TODAY", "FLIGHTS_DATA", "MLOPS_STATE", "MLOPS_WORKSPACE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("empty", [(), ("TODAY", "FLIGHTS_DATA", "MLOPS_STATE")], ids=["none", "empty"])
def test_without_settings_today_is_the_first_of_april_and_the_data_is_the_installed(
    monkeypatch: pytest.MonkeyPatch, empty: tuple[str, ...]
) -> None:
    for name in empty:
        monkeypatch.setenv(name, "")
    assert read_settings() == Settings(today=date(2013, 4, 1), data=None, state=PROJECT / ".state")


@pytest.mark.parametrize("named", ["{here}/", ""], ids=["in full", "from here"])
def test_the_environment_sets_all_three_and_folders_are_the_same_wherever_a_process_starts(
    named: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TODAY", "2013-07-01")
    monkeypatch.setenv("FLIGHTS_DATA", named.format(here=tmp_path) + "data")
    monkeypatch.setenv("MLOPS_STATE", named.format(here=tmp_path) + "state")
    assert read_settings() == Settings(today=date(2013, 7, 1), data=tmp_path / "data", state=tmp_path / "state")


@pytest.mark.parametrize("text", ["July", "2013-07-32", "07/01/2013", "2013-02-29"])
def test_what_is_not_a_date_is_refused_with_an_example(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TODAY", text)
    with pytest.raises(SettingError, match="Remedy: write it as YYYY-MM-DD, for example TODAY=2013-07-01") as error:
        read_settings()
    assert repr(text) in str(error.value)


@pytest.mark.parametrize("text", ["2012-12-31", "2013-01-01", "2014-06-01", "2026-01-01"])
def test_a_day_without_data_is_refused_with_the_days_that_have_data(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TODAY", text)
    with pytest.raises(SettingError) as error:
        read_settings()
    assert text in str(error.value)
    assert "Remedy: a day within" in str(error.value)
    assert str(FIRST_TODAY) in str(error.value)
    assert str(LAST_TODAY) in str(error.value)


@pytest.mark.parametrize(("day", "hour"), [(date(2013, 4, 1), 4), (date(2013, 12, 1), 5)])
def test_today_begins_at_midnight_in_new_york(day: date, hour: int, settings: Settings) -> None:
    now = Settings(today=day, data=None, state=settings.state).now
    assert now == pd.Timestamp(day, tz="UTC") + pd.Timedelta(hours=hour)


def test_in_a_workspace_earlier_levels_have_folders_of_their_own_and_share_the_data(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MLOPS_STATE", str(tmp_path))
    monkeypatch.setenv("MLOPS_WORKSPACE", "level5")
    settings = read_settings()
    folders = {name: settings.level(name) for name in ("level3", "level5", "shared")}
    assert folders == {
        "level3": tmp_path / "level5" / "level3",
        "level5": tmp_path / "level5",
        "shared": tmp_path / "shared",
    }
    assert all(folder.is_dir() for folder in folders.values())


def test_a_user_without_a_name_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 4711")

    monkeypatch.setattr("getpass.getuser", nobody)
    assert user() == (f"user {os.getuid()}" if hasattr(os, "getuid") else "unknown")


@pytest.mark.parametrize("name", ["..", "../elsewhere", "/tmp", "Demo", "a b", ".at-work"])  # noqa: S108 - no file there
def test_a_workspace_whose_name_could_lead_elsewhere_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_WORKSPACE", name)
    with pytest.raises(SettingError, match=r"MLOPS_WORKSPACE=.* Remedy: .*MLOPS_WORKSPACE=demo"):
        read_settings()
