"""The live stream: the flights of a stretch of the year as they would have come, hour by hour."""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from shared.schema import KNOWN_BEFORE

ASKED = ["flight_id", "predicted_at", *KNOWN_BEFORE]
TOLD = ["flight_id", "arrival_delay", "late", "label_known_at"]


@dataclass(frozen=True)
class Hour:
    """One hour of the stream, from `start` (UTC) on.

    flights: those to be predicted in this hour, with what is known of them then, and no more.
    outcomes: the labels that became known in this hour, mostly of flights of earlier hours.
    """

    start: pd.Timestamp
    flights: pd.DataFrame
    outcomes: pd.DataFrame


def replay(flights: pd.DataFrame, start: pd.Timestamp, end: pd.Timestamp) -> Iterator[Hour]:
    """Yield every hour of [start, end), the quiet ones too; a cancelled or diverted flight never gets an outcome."""
    hour = pd.Timedelta(hours=1)
    asked, told = (
        flights.loc[flights[when].between(start, end, inclusive="left"), columns].sort_values([when, "flight_id"])
        for when, columns in (("predicted_at", ASKED), ("label_known_at", TOLD))
    )
    starts = pd.date_range(start, end, freq=hour, inclusive="left")
    ask = asked["predicted_at"].searchsorted([*starts, end])
    tell = told["label_known_at"].searchsorted([*starts, end])
    for i, begin in enumerate(starts):
        yield Hour(begin, asked.iloc[ask[i] : ask[i + 1]], told.iloc[tell[i] : tell[i + 1]])
