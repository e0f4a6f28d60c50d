"""Split the flights in time: those that a model may learn from on a day, and those that come after it."""

import pandas as pd

from shared.errors import UserError
from shared.settings import NEW_YORK


def history(flights: pd.DataFrame, now: pd.Timestamp) -> pd.DataFrame:
    """The flights whose label was known before `now`: a model trained at `now` may learn from these."""
    return flights[flights["label_known_at"] < now]


def future(flights: pd.DataFrame, now: pd.Timestamp) -> pd.DataFrame:
    """The labelled flights predicted from `now` on: a model trained at `now` is scored on these.

    Raises UserError when there is none.
    """
    later = flights[(flights["predicted_at"] >= now) & flights["late"].notna()]
    if later.empty:
        today = now.tz_convert(NEW_YORK).date()
        raise UserError(f"TODAY={today}: no flight comes after it. Remedy: choose an earlier day.")
    return later
