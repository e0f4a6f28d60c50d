"""Which flights may be learned from on a day, and which came after it."""

import pandas as pd

from shared.errors import UserError
from shared.settings import NEW_YORK


def history(flights: pd.DataFrame, now: pd.Timestamp) -> pd.DataFrame:
    """The flights whose label was known before `now`: all that may be learned from."""
    return flights[flights["label_known_at"] < now]


def future(flights: pd.DataFrame, now: pd.Timestamp) -> pd.DataFrame:
    """The labelled flights predicted from `now` on: all that a model trained at `now` is judged by.

    Raises UserError when there is none.
    """
    later = flights[(flights["predicted_at"] >= now) & flights["late"].notna()]
    if later.empty:
        today = now.tz_convert(NEW_YORK).date()
        raise UserError(f"TODAY={today}: no flight comes after it. Remedy: choose an earlier day.")
    return later
