"""The live stream: flights and labels of a part of the year, in the order in which they became known."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import pandas as pd

from shared.data.schema import KNOWN_BEFORE

HOUR = pd.Timedelta(hours=1)
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
    """Yield every tick of [start, end), empty ones included; cancelled and diverted flights never get a label.

    Each tick's rows are copied when their turn comes: the year has 100 MB.
    """
    orders = {}
    for when in ("predicted_at", "label_known_at"):
        within = flights.loc[flights[when].between(start, end, inclusive="left"), [when, "flight_id"]]
        orders[when] = within.sort_values([when, "flight_id"])[when]
    edges = [*pd.date_range(start, end, freq=every, inclusive="left"), end]
    places = {when: order.searchsorted(edges) for when, order in orders.items()}

    def rows(when: str, columns: list[str], i: int) -> pd.DataFrame:
        begin, until = places[when][i : i + 2]
        return flights.loc[orders[when].index[begin:until], columns]

    for i, (begin, until) in enumerate(pairwise(edges)):
        yield Tick(begin, until, rows("predicted_at", REQUEST_COLUMNS, i), rows("label_known_at", LABEL_COLUMNS, i))
