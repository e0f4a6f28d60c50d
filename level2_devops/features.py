"""The features of a flight: training and serving use this code."""

import pandas as pd

from shared.data.schema import RECENT_DELAYS, WEATHER
from shared.settings import NEW_YORK

CATEGORIES = ["carrier", "origin", "dest"]
TIMES = ["minute_of_day", "weekday", "scheduled_minutes", "scheduled_mph"]
NUMBERS = ["distance", *TIMES, *WEATHER, *RECENT_DELAYS]


def features(flights: pd.DataFrame) -> pd.DataFrame:
    """(n, 29) features of flights that have the columns of `shared.data.schema.KNOWN_BEFORE`.

    minute_of_day and weekday (0 is Monday) are New York's, scheduled_minutes is from gate to gate. Numbers are
    float32, so that a runtime of any precision sees the values that the model was trained on.
    """
    local = flights["scheduled_departure"].dt.tz_convert(NEW_YORK).dt
    minutes = (flights["scheduled_arrival"] - flights["scheduled_departure"]).dt.total_seconds() / 60
    times = {
        "minute_of_day": local.hour * 60 + local.minute,
        "weekday": local.dayofweek,
        "scheduled_minutes": minutes,
        "scheduled_mph": flights["distance"] / minutes * 60,
    }
    columns = {**flights, **times}  # one table at the end: for a single row, each step on a table costs time
    numbers = {name: columns[name].to_numpy("float32") for name in NUMBERS}
    return pd.DataFrame({**flights[CATEGORIES], **numbers})
