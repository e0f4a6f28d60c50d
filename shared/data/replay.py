"""The live stream: the flights of a stretch of the year as they would have come, hour by hour."""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from shared.data.schema import KNOWN_BEFORE

HOUR = pd.Timedelta(hours=1)
ASKED = ["flight_id", "predicted_at", *KNOWN_BEFORE]
TOLD = ["flight_id", "arrival_delay", "late", "label_known_at"]


@dataclass(frozen=True)
class Tick:
    """A piece of the stream, an hour unless asked otherwise, from `start` (UTC) until before `end`.

    flights: those to be predicted in it, with what is known of each an hour before its departure, and no more.
    outcomes: the labels that became known in it, mostly of flights of earlier ticks.
    """

    start: pd.Timestamp
    end: pd.Timestamp
    flights: pd.DataFrame
    labels: pd.DataFrame


def replay(flights: pd.DataFrame, start: pd.Timestamp, end: pd.Timestamp, every: pd.Timedelta = HOUR) -> Iterator[Tick]:
    """Yield every tick of [start, end), the quiet ones too; a cancelled or diverted flight never gets an outcome."""
    asked, told = (
        flights.loc[flights[when].between(start, end, inclusive="left"), columns].sort_values([when, "flight_id"])
        for when, columns in (("predicted_at", ASKED), ("label_known_at", TOLD))
    )
    starts = pd.date_range(start, end, freq=every, inclusive="left")
    ends = [*starts[1:], end]
    ask = asked["predicted_at"].searchsorted([*starts, end])
    tell = told["label_known_at"].searchsorted([*starts, end])
    for i, (begin, until) in enumerate(zip(starts, ends, strict=True)):
        yield Tick(begin, until, asked.iloc[ask[i] : ask[i + 1]], told.iloc[tell[i] : tell[i + 1]])
