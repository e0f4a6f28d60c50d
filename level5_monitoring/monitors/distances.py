"""Two distances between samples of one column: how far has it drifted?

They equal Evidently's `ValueDrift(method="wasserstein")` and `ValueDrift(method="jensenshannon")`; a test compares them
to 1e-12. A week's 22 columns take 0.3 s here, and 2.3 s in an Evidently report, which prepares plots as well.
"""

import numpy as np
import pandas as pd
from scipy.spatial import distance
from scipy.stats import wasserstein_distance

LEAST_SPREAD = 0.001  # divides the distance from a sample that is (almost) constant, in the column's unit


def normed_wasserstein(current: pd.Series, reference: pd.Series) -> float:
    """Wasserstein distance of two samples of numbers, in (population) standard deviations of the reference.

    Both without missing values; NaN where one of them is empty.
    """
    if current.empty or reference.empty:
        return float("nan")
    now, then = current.to_numpy(float), reference.to_numpy(float)
    return float(wasserstein_distance(then, now) / max(float(np.std(then)), LEAST_SPREAD))


def jensen_shannon(current: pd.Series, reference: pd.Series) -> float:
    """Jensen-Shannon distance (natural logarithm: 0 to 0.83) of the shares of each value in two samples.

    Both without missing values; NaN where one of them is empty.
    """
    if current.empty or reference.empty:
        return float("nan")
    now, then = (sample.value_counts(normalize=True) for sample in (current, reference))
    values = now.index.union(then.index)
    return float(distance.jensenshannon(then.reindex(values, fill_value=0.0), now.reindex(values, fill_value=0.0)))
