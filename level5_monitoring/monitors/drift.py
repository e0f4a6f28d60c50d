"""Drift of the inputs, column by column, a week at a time: information, and no reason to retrain by itself.

The distances are Evidently's: normed Wasserstein for numbers, Jensen-Shannon for codes. The thresholds come from the
weeks of the history, because Evidently's default of 0.1 suits no column here. Evidently's share of drifting columns is
not used: it hides a fault of a single column.
"""

import numpy as np
import pandas as pd

from level5_monitoring.monitors.distances import COLUMNS, distances_by_column
from level5_monitoring.monitors.monitor_result import MonitorResult, above, insufficient
from level5_monitoring.monitors.reference import Reference

MIN_FLIGHTS = 900  # of a week: below that, distances are large by chance


def check_drift(window: pd.DataFrame, reference: Reference, day: str) -> list[MonitorResult]:
    """A result for each column of the flights of the week that ends with `day`."""
    about = {"day": day, "monitor": "drift", "rows": len(window)}
    if len(window) < MIN_FLIGHTS:
        message = f"{len(window)} flights in the week; {MIN_FLIGHTS} are needed"
        return [insufficient(target=name, message=message, **about) for name in COLUMNS]
    results = []
    for name, distance in distances_by_column(window, reference.sample).items():
        if np.isfinite(distance):
            threshold = reference.drift[name]
            message = f"the distance of {name} from the history is {distance:.3f}; its weeks stay below {threshold:.3f}"
            results.append(above(threshold, distance, target=name, message=message, **about))
        else:
            results.append(insufficient(target=name, message=f"{name} has no value in the week", **about))
    return results
