"""The reference of the real history, learnt once."""

import warnings

import pandas as pd
import pytest

from level5_monitoring.reference import Reference, build_reference


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
