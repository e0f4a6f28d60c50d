"""Requests for the workers."""

from typing import Any

import pandas as pd
import pytest

from level4_deployment.replay_client import as_requests


@pytest.fixture(scope="session")
def sent(flights: pd.DataFrame) -> list[dict[str, Any]]:
    """Requests for 300 flights of the year."""
    return as_requests(flights.sample(300, random_state=4))
