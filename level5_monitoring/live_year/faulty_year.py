"""The faults of the live year, and how its tables look with them: one definition, for `make level5` and the benchmark.

Two feeds send wrong values for some days, and one retraining reads labels that were joined to other flights. They are
put in at the edge of the data: in the tables that are streamed and read. Nothing that serves, monitors, trains or
decides knows of them. Scores are taken against the true labels.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pandas as pd

from level2_devops.model import SEED
from level3_training_pipeline.pipeline import data
from level5_monitoring import config
from level5_monitoring.live_year.fault_injection import FAULTS, inject_fault, inject_label_fault
from shared.data.flights import load_flights
from shared.settings import Settings

EVERYWHERE = 3  # the size of both feeds' faults: all flights


@dataclass(frozen=True)
class FeedFault:
    """A fault of FAULTS in the flights that depart from day `first` to day `last` (YYYY-MM-DD)."""

    fault: str
    first: str
    last: str

    @property
    def what(self) -> str:
        """In an operator's words."""
        return FAULTS[self.fault].what


BROKEN_UNIT = FeedFault("hours", "2013-07-15", "2013-07-24")
INVERTED = FeedFault("labels flipped", "2013-09-02", "2013-09-08")
SPOILED_FROM = "2013-08-01"  # the first retraining of each policy on or after this day is spoiled
SPOILED = "a training on labels of other flights"


def feed_faults(begin: str) -> list[FeedFault]:
    """The faults of feeds in a live year that begins on `begin`: those that do not begin before it."""
    return [one for one in (BROKEN_UNIT, INVERTED) if one.first >= begin]


def with_faults(flights: pd.DataFrame, begin: str) -> pd.DataFrame:
    """The year's table as the faulty feeds deliver it, to be streamed and to be learnt from."""
    day = flights["flight_id"].str[:10]
    for one in feed_faults(begin):
        struck = day.between(one.first, one.last)
        sent = inject_fault(flights[struck], one.fault, EVERYWHERE)
        late = inject_label_fault(sent, one.fault, EVERYWHERE)["late"]
        flights = pd.concat([flights[~struck], sent.assign(late=late)]).sort_index()
    return flights


def shuffle_labels(flights: pd.DataFrame, now: pd.Timestamp) -> pd.DataFrame:
    """With labels that a broken join gave to other flights: all older than the days that a training is tested on."""
    joined = [name for name in ("late", "arrival_delay") if name in flights]
    old = flights.index[flights["label_known_at"] < now - data.TEST]
    wrong = flights.copy()
    wrong.loc[old, joined] = flights.loc[old, joined].sample(frac=1, random_state=SEED).to_numpy()
    return wrong


class FaultyTables:
    """The year's table as a process reads it while the faults are put in. spoiled: the day of that training, or ""."""

    def __init__(self, settings: Settings) -> None:
        self.begin, self.spoiled = str(settings.today), ""
        self.flights = with_faults(load_flights(settings), self.begin)

    def load_flights(self, settings: Settings) -> pd.DataFrame:
        """Instead of `shared.data.flights.load_flights`; a training that reads again reads the same."""
        today = str(settings.today)
        if today > self.begin and today >= SPOILED_FROM and self.spoiled in ("", today):
            self.spoiled = today
            return shuffle_labels(self.flights, settings.now)
        return self.flights.copy(deep=False)


@contextmanager
def injected_faults(settings: Settings) -> Iterator[FaultyTables | None]:
    """While the block runs, this process trains on the year with faults; with FAULTS=none, on the real one."""
    if not config.faults():
        yield None
        return
    tables = FaultyTables(settings)
    real, data.read_year = data.read_year, tables.load_flights
    try:
        yield tables
    finally:
        data.read_year = real
