"""The reference of the real history, built once, and an empty log of either database."""

import warnings
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa

from level5_monitoring.monitors.reference import Reference, build_reference
from level5_monitoring.tables import open_log
from shared.data.replay import Tick, replay
from shared.settings import Settings, read_settings


@pytest.fixture(scope="session", autouse=True)
def evidently() -> None:
    """Import it once, without the warnings of its own dependencies."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import evidently.metrics  # noqa: F401


@pytest.fixture(scope="session")
def reference(known: pd.DataFrame) -> Reference:
    """What January to March look like."""
    return build_reference(known)


@pytest.fixture
def hours(flights: pd.DataFrame) -> list[Tick]:
    """Three days of the real stream, from 2 April on."""
    begin = pd.Timestamp("2013-04-02", tz="America/New_York").tz_convert("UTC")
    return list(replay(flights, begin, begin + pd.Timedelta(days=3)))


@pytest.fixture
def log(url: str) -> Iterator[sa.Engine]:
    with open_log(url) as log:
        yield log


@pytest.fixture
def level5_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of this level, from an environment with a state folder of the test's own; tables are printed wide."""
    values = {"MLOPS_STATE": str(tmp_path), "MLOPS_WORKSPACE": "level5", "PREDICTION_LOG": "", "COLUMNS": "200"}
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return read_settings()
