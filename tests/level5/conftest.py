"""The reference of the real history, learnt once."""

import warnings

import pandas as pd
import pytest

from level5_monitoring.monitors.reference import Reference, build_reference
from shared.data.replay import Tick, replay


@pytest.fixture(scope="session", autouse=True)
def evidently() -> None:
    """Import it once; what it, and what it brings along, warn of is theirs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import evidently.legacy.calculations.stattests  # noqa: F401


@pytest.fixture(scope="session")
def reference(known: pd.DataFrame) -> Reference:
    """What January to March look like."""
    return build_reference(known)


@pytest.fixture
def hours(flights: pd.DataFrame) -> list[Tick]:
    """Three days of the real stream, from 2 April on."""
    begin = pd.Timestamp("2013-04-02", tz="America/New_York").tz_convert("UTC")
    return list(replay(flights, begin, begin + pd.Timedelta(days=3)))
