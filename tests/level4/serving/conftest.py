"""Requests for the workers, and an event loop for tests that are coroutines."""

from typing import Any

import pandas as pd
import pytest

from level4_deployment.replay_client import as_requests


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Tests with the mark `anyio` run on asyncio."""
    return "asyncio"


@pytest.fixture(scope="session")
def sent(flights: pd.DataFrame) -> list[dict[str, Any]]:
    """Requests for 300 flights of the year."""
    return as_requests(flights.sample(300, random_state=4))
