"""Requests for the workers, a disk that gets full, and an event loop for tests that are coroutines."""

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa

from level4_deployment.replay_client import as_requests


def limit_disk(log: sa.Engine, pages: int) -> Callable[[], None]:
    """Let a log on SQLite grow to so many pages; returns a function that gives it more space."""
    most = pages

    @sa.event.listens_for(log, "connect")
    def limit(connection: Any, _record: object) -> None:
        connection.execute(f"PRAGMA max_page_count={most}")

    def give_space() -> None:
        nonlocal most
        most = 100_000
        log.dispose()  # connections that are open keep their limit

    log.dispose()
    return give_space


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Tests with the mark `anyio` run on asyncio."""
    return "asyncio"


@pytest.fixture(scope="session")
def sent(flights: pd.DataFrame) -> list[dict[str, Any]]:
    """Requests for 300 flights of the year."""
    return as_requests(flights.sample(300, random_state=4))
