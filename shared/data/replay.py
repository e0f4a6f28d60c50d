"""The live stream: flights and labels of a part of the year, in the order in which they became known."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import pandas as pd

from shared.data.schema import KNOWN_BEFORE

HOUR = pd.Timedelta(hours=1)
AT_ONCE = 168  # ticks whose rows are copied together: those of a year would take 100 MB
REQUEST_COLUMNS = ["flight_id", "predicted_at", *KNOWN_BEFORE]
LABEL_COLUMNS = ["flight_id", "arrival_delay", "late", "label_known_at"]


@dataclass(frozen=True)
class Tick:
    """One step of the stream, from `start` (UTC) until before `end`.

    flights: to be predicted in this step, with the columns that are known an hour before departure, and no others.
    labels: became known in this step, mostly for flights of earlier ticks.
    """

    start: pd.Timestamp
    end: pd.Timestamp
    flights: pd.DataFrame
    labels: pd.DataFrame


def replay(flights: pd.DataFrame, start: pd.Timestamp, end: pd.Timestamp, every: pd.Timedelta = HOUR) -> Iterator[Tick]:
    """Yield every tick of [start, end), empty ones included; cancelled and diverted flights never get a label."""
    edges = [*pd.date_range(start, end, freq=every, inclusive="left"), end]
    for i in range(0, len(edges) - 1, AT_ONCE):
        yield from _ticks(flights, edges[i : i + AT_ONCE + 1])


def _ticks(flights: pd.DataFrame, edges: list[pd.Timestamp]) -> Iterator[Tick]:
    requests, labels = (
        flights.loc[flights[when].between(edges[0], edges[-1], inclusive="left"), columns].sort_values(
            [when, "flight_id"]
        )
        for when, columns in (("predicted_at", REQUEST_COLUMNS), ("label_known_at", LABEL_COLUMNS))
    )
    request_rows = requests["predicted_at"].searchsorted(edges)
    label_rows = labels["label_known_at"].searchsorted(edges)
    for i, (begin, until) in enumerate(pairwise(edges)):
        yield Tick(
            begin,
            until,
            requests.iloc[request_rows[i] : request_rows[i + 1]],
            labels.iloc[label_rows[i] : label_rows[i + 1]],
        )
