"""Gather, validate, build features: the steps before training. They pass files and their digests on."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from level2_devops.features import features
from level2_devops.model import SEED
from level3_training_pipeline.tracking import lineage
from shared.data.flights import digest, load_flights
from shared.data.raw import data_folder, raw_digests
from shared.data.schema import FLIGHT, DataError, check
from shared.data.split import history
from shared.files import read_parquet, write_parquet
from shared.settings import NEW_YORK, Settings

MOST_ROWS = 80_000  # three months; with more rows the model is no better, and by December takes three times as long
TEST_DAYS, VALIDATION_DAYS = 14, 28  # the last days before today: tune.windows
TEST = pd.Timedelta(days=TEST_DAYS)
WHOLE = pd.Timedelta(days=VALIDATION_DAYS) + TEST  # every flight of these days is kept, to validate and test
FEWEST_ROWS = 1_000
STALE_AFTER = pd.Timedelta(days=2)
KEPT = ["flight_id", "predicted_at", "label_known_at", "late"]  # kept beside the features, to split and to score


@dataclass(frozen=True)
class Snapshot:
    """The flights that a training may learn from: a file, and the digests that identify its content."""

    file: Path
    digest: str  # SHA-256 of the table
    rows: int
    now: pd.Timestamp  # labels known before this instant (UTC)
    raw: dict[str, str]  # SHA-256 of each raw file

    @property
    def today(self) -> str:
        """The day in New York, as YYYY-MM-DD."""
        return self.now.tz_convert(NEW_YORK).strftime("%Y-%m-%d")


def gather(settings: Settings) -> Snapshot:
    """Write the history as of today to a file that is named by its digest."""
    known = sample(history(load_flights(settings), settings.now), settings.now)
    name = digest(known)
    file = settings.level("level3") / "data" / f"history-{name[:16]}.parquet"
    write_parquet(known, file)
    return Snapshot(file, name, len(known), settings.now, raw_digests(data_folder(settings.data)))


def read(file: Path) -> pd.DataFrame:
    """The history or the features, as a step before wrote them; raises StateError for a file that was altered since."""
    return read_parquet(file, "give the command again; the file is written anew.")


def sample(known: pd.DataFrame, now: pd.Timestamp) -> pd.DataFrame:
    """At most MOST_ROWS of the known flights: all recent ones, and a random sample of the older ones."""
    recent = known["predicted_at"] >= now - WHOLE
    older = known[~recent]
    room = max(0, MOST_ROWS - int(recent.sum()))
    drawn = older if len(older) <= room else older.sample(room, random_state=SEED)
    return pd.concat([drawn, known[recent]]).sort_index().reset_index(drop=True)


def validate(snapshot: Snapshot) -> None:
    """The data gate: raises DataError unless the snapshot keeps the contract, is large enough, fresh and without gaps.

    Both labels must occur in it.
    """
    flights = check(read(snapshot.file), FLIGHT, str(snapshot.file))
    if len(flights) < FEWEST_ROWS:
        raise DataError(
            f"{snapshot.file}: {len(flights):,} labelled flights, at least {FEWEST_ROWS:,} are needed. "
            "Remedy: a later TODAY."
        )
    age = snapshot.now - flights["label_known_at"].max()
    if age > STALE_AFTER:
        raise DataError(
            f"{snapshot.file}: the newest label is {age} old, at most {STALE_AFTER} is allowed. "
            "Remedy: repair the label feed."
        )
    test_from, validate_from = snapshot.now - TEST, snapshot.now - WHOLE
    windows = {
        "to tune on": flights["label_known_at"] < validate_from,
        "to validate on": (flights["predicted_at"] >= validate_from) & (flights["label_known_at"] < test_from),
        "to test on": flights["predicted_at"] >= test_from,
    }
    if empty := [use for use, inside in windows.items() if not inside.any()]:
        raise DataError(
            f"{snapshot.file}: no labelled flight {' and none '.join(empty)}: validation is from "
            f"{validate_from:%Y-%m-%d}, the test from {test_from:%Y-%m-%d}, to {snapshot.today}; the flights are of "
            f"{flights['predicted_at'].min():%Y-%m-%d} to {flights['predicted_at'].max():%Y-%m-%d}. "
            "Remedy: complete flights.csv, or choose another TODAY."
        )
    if flights["late"].nunique() < 2:
        raise DataError(
            f"{snapshot.file}: every flight has the same label (late = {flights['late'].iloc[0]}). "
            "Remedy: look at arr_delay in flights.csv."
        )


def build_features(snapshot: Snapshot) -> Path:
    """Write the features of the snapshot, with label and instants beside them; returns the file.

    The digest of the code is in its name, because two versions of the code can work on one history at once.
    """
    flights = read(snapshot.file)
    file = snapshot.file.with_name(f"features-{snapshot.digest[:16]}-{lineage.code_digest()[:16]}.parquet")
    write_parquet(pd.concat([flights[KEPT], features(flights)], axis=1), file)
    return file
