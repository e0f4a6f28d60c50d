"""What all tests share: the real year, loaded once, and settings with a state folder of their own."""

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
from shared.environment import clean_environment
from shared.settings import Settings, read_settings
from tests.support import environment

clean_environment()
os.environ.update(DO_NOT_TRACK="1", MLFLOW_DISABLE_TELEMETRY="true")  # before a test module imports mlflow or prefect


def pytest_sessionstart(session: pytest.Session) -> None:
    """Print a middle dot every 1.5 s, so that a run is never silent for more than two seconds."""
    # A run in the background ignores Ctrl-C, and the servers that tests end with Ctrl-C would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # the same under nohup:
        signal.signal(signal.SIGHUP, lambda *_: None)  # what a test starts has the system's own handler
    capture = session.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        screen = os.dup(1)  # while a test runs, pytest captures what is written to 1
    ended = threading.Event()

    def tick() -> None:
        while not ended.wait(1.5):
            os.write(screen, "·".encode())
        os.close(screen)

    session.config.add_cleanup(ended.set)
    threading.Thread(target=tick, daemon=True).start()


LONGEST = (  # the longest first
    "tests/level3/",
    "tests/level5/loop/test_killed.py",
    "tests/level4/",
    "tests/project/test_ends.py",
    "tests/level5/live_demo/",
    "tests/level2/",
)
TOGETHER = ("level1", "level3", "level4")  # a run, or a server and a training, is shared by all tests of these levels


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the longest tests first, so that with several processes none of them runs alone at the end."""
    items.sort(key=lambda item: next((i for i, part in enumerate(LONGEST) if part in item.nodeid), len(LONGEST)))


@pytest.hookimpl(optionalhook=True)  # of xdist, which a release's gate does not load
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    """Keep the tests of a file, or of a level, in one process, so that what they share is made once."""
    from xdist.scheduler import LoadScopeScheduling

    class Together(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            level = file.split("/")[1]
            return level if level in TOGETHER else file

    return Together(config, log)


@pytest.fixture(autouse=True)
def environment_as_before() -> Iterator[None]:
    """What a test sets in the environment, itself or by `configure`, is gone when the next one begins."""
    with environment():
        yield


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
    """The URL of a PostgreSQL server for the tests; each test makes a database of its own there."""
    from tests.level4.postgres import postgres  # not at the top: a release's gate has no level 4

    with postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'log.db'}"
    from tests.level4.postgres import new_database

    return new_database(request.getfixturevalue("postgresql"))


@pytest.fixture(scope="session")
def known(flights: pd.DataFrame) -> pd.DataFrame:
    """The labelled flights of January to March."""
    return history(flights, pd.Timestamp("2013-04-01", tz="America/New_York"))


@pytest.fixture(scope="session")
def later(flights: pd.DataFrame) -> pd.DataFrame:
    """The labelled flights of April to December."""
    return future(flights, pd.Timestamp("2013-04-01", tz="America/New_York"))
