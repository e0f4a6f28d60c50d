"""Two weeks of real days."""

import numpy as np
import pandas as pd
import pytest

from level5_monitoring.monitors.window import as_window


@pytest.fixture(scope="package")
def days(flights: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The windows of 6 to 19 May, with predictions that know a little."""
    window = flights[flights["flight_id"].str[:10].between("2013-05-06", "2013-05-19")]
    late = window["late"].fillna(0)
    chance = 0.2 + 0.2 * late + np.random.default_rng(0).uniform(0, 0.3, len(window))
    return {str(day): rows for day, rows in as_window(window, chance).groupby("day")}
