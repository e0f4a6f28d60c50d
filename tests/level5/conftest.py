"""The reference of the real history, built once, and an empty log."""

import warnings
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa

from level5_monitoring.monitors.reference import Reference, build_reference
from level5_monitoring.tables import open_log
from shared.data.replay import Tick, replay
from tests.level4.postgres import new_database


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


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database, of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'log.db'}"
    return new_database(request.getfixturevalue("postgresql"))


@pytest.fixture
def empty_log(url: str) -> Iterator[sa.Engine]:
    """It, with all tables."""
    log = open_log(url)
    yield log
    log.dispose()
