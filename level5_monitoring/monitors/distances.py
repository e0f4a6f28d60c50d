"""How far a column of flights has drifted from a sample: two distances, and their value for each column.

The distances equal Evidently's `ValueDrift(method="wasserstein")` and `ValueDrift(method="jensenshannon")`; a test
compares them to 1e-12. A week takes 0.3 s here, and 2.3 s in an Evidently report, which prepares plots as well.
"""

import numpy as np
import pandas as pd
from scipy.spatial import distance
from scipy.stats import wasserstein_distance

from level5_monitoring.monitors.window import CODES, NUMBERS
from shared.settings import NEW_YORK

MINUTE_OF_DAY = "minute_of_day"  # of departure in New York: it shows a schedule sent in another time zone
COLUMNS = [*NUMBERS, MINUTE_OF_DAY, *CODES]
MIN_SPREAD = 0.001  # divides the distance where the reference is almost constant; in the column's unit


def normed_wasserstein(current: pd.Series, reference: pd.Series) -> float:
    """Wasserstein distance of two samples of numbers, in (population) standard deviations of the reference.

    Both without missing values, and not empty.
    """
    now, then = current.to_numpy(float), reference.to_numpy(float)
    return float(wasserstein_distance(then, now) / max(float(np.std(then)), MIN_SPREAD))


def jensen_shannon(current: pd.Series, reference: pd.Series) -> float:
    """Jensen-Shannon distance (natural logarithm: from 0 to 0.83) of the shares of each value in two samples.

    Both without missing values, and not empty.
    """
    now, then = (sample.value_counts(normalize=True) for sample in (current, reference))
    values = now.index.union(then.index)
    return float(distance.jensenshannon(then.reindex(values, fill_value=0.0), now.reindex(values, fill_value=0.0)))


def distances_by_column(window: pd.DataFrame, sample: pd.DataFrame) -> dict[str, float]:
    """The distance of each of COLUMNS from the sample; NaN where a column has no (finite) value."""
    now, then = columns_of(window), columns_of(sample)
    found = {}
    for name in COLUMNS:
        current, reference = now[name].dropna(), then[name].dropna()
        distance_of = jensen_shannon if name in CODES else normed_wasserstein
        found[name] = np.nan if current.empty or reference.empty else distance_of(current, reference)
    return found


def columns_of(window: pd.DataFrame) -> pd.DataFrame:
    """The values of each of COLUMNS; numbers that are not finite are missing."""
    local = window["scheduled_departure"].dt.tz_convert(NEW_YORK).dt
    found = window.assign(**{MINUTE_OF_DAY: (local.hour * 60 + local.minute).astype(float)})[COLUMNS]
    return found.replace([np.inf, -np.inf], np.nan)
