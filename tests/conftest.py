"""What tests share: the real year, loaded once, and settings with a state folder of their own."""

import os
import signal
import threading
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from shared.data.flights import load_flights
from shared.data.split import future, history
from shared.settings import Settings, read_settings

os.environ.update(DO_NOT_TRACK="1", MLFLOW_DISABLE_TELEMETRY="true")  # before a test module imports mlflow or prefect


def pytest_sessionstart(session: pytest.Session) -> None:
    """Nothing is silent for more than two seconds: a middle dot every 1.5 s, while tests are gathered and run."""
    # A run in the background has Ctrl-C ignored; the servers that tests end by it would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    capture = session.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        screen = os.dup(1)  # pytest itself takes what is written to 1 while a test runs
    ended = threading.Event()

    def tick() -> None:
        while not ended.wait(1.5):
            os.write(screen, "·".encode())
        os.close(screen)

    session.config.add_cleanup(ended.set)
    threading.Thread(target=tick, daemon=True).start()


LONGEST = ("tests/level3/", "tests/level5/test_loop.py", "tests/level2/test_run.py", "tests/level4/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest comes first: where tests run side by side, none of it is left to run alone at the end."""
    items.sort(key=lambda item: next((i for i, part in enumerate(LONGEST) if part in item.nodeid), len(LONGEST)))


@pytest.hookimpl(optionalhook=True)  # of xdist, which is not there where a release's gate runs the tests
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    """What tests of a file, or of a level, share is made once: where tests run side by side, they stay together."""
    from xdist.scheduler import LoadScopeScheduling

    class Together(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            level = file.split("/")[1]
            return level if level in ("level3", "level4") else file

    return Together(config, log)


@pytest.fixture(scope="session")
def flights() -> pd.DataFrame:
    """Every departure of 2013, from the project's own cache."""
    return load_flights(read_settings())


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Today is 1 April 2013; state goes to a folder of this test's own."""
    return Settings(today=date(2013, 4, 1), data=None, state=tmp_path / "state")


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The URL of a PostgreSQL server of the tests' own; each test makes a database of its own there."""
    from tests.level4.postgres import postgres  # a release's gate, which knows no database, reads this file too

    with postgres() as server:
        yield server


@pytest.fixture(scope="session")
def known(flights: pd.DataFrame) -> pd.DataFrame:
    """The labelled flights of January to March."""
    return history(flights, pd.Timestamp("2013-04-01", tz="America/New_York"))


@pytest.fixture(scope="session")
def later(flights: pd.DataFrame) -> pd.DataFrame:
    """The labelled flights of April to December."""
    return future(flights, pd.Timestamp("2013-04-01", tz="America/New_York"))
