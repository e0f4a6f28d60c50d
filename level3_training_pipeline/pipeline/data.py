"""Gather, validate, build features: the steps before training. They pass files and their digests on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
from shared.settings import NEW_YORK, Settings, parse_today

MOST_ROWS = 80_000  # three months; with more rows the model is no better, and by December takes three times as long
TEST = pd.Timedelta(days=14)  # the last days before today
WHOLE = pd.Timedelta(days=28) + TEST  # every flight of these days is kept, to validate and test
FEWEST_ROWS = 1_000  # of each part: the one to test on has 10,892 or more, with the labels of the whole year
LATE_FACTOR = 3.0  # between the shares late of two parts: 2.5 at most, of all parts of 14 or 28 days of the year
STALE_AFTER = pd.Timedelta(days=2)
KEPT = ["flight_id", "predicted_at", "label_known_at", "late"]  # kept beside the features, to split and to score
read_year = load_flights  # where a training gets the year's table; level 5 sets another source, which has faults


@dataclass(frozen=True)
class Snapshot:
    """The flights that a training may learn from: a file, and the digests that identify its content."""

    file: Path
    digest: str  # SHA-256 of the table
    rows: int
    now: pd.Timestamp  # labels known before this instant (UTC)
    raw: dict[str, str]  # SHA-256 of each raw file
    days_left_out: tuple[str, ...] = ()  # of departure: YYYY-MM-DD
    rows_left_out: int = 0  # labelled flights of those days

    @property
    def today(self) -> str:
        """The day in New York, as YYYY-MM-DD."""
        return self.now.tz_convert(NEW_YORK).strftime("%Y-%m-%d")


def gather(settings: Settings, without: Sequence[str] = ()) -> Snapshot:
    """Write the history as of today to a file that is named by its digest.

    without: days of departure (YYYY-MM-DD) whose data are in doubt; their flights are left out.
    """
    known = history(read_year(settings), settings.now)
    left_out = int(in_doubt(known, without).sum())
    known = sample(known, settings.now, without)
    name = digest(known)
    file = settings.level("level3") / "data" / f"history-{name[:16]}.parquet"
    write_parquet(known, file)
    raw = raw_digests(data_folder(settings.data))
    return Snapshot(file, name, len(known), settings.now, raw, tuple(without), left_out)


def gather_again(settings: Settings, tags: Mapping[str, str]) -> Snapshot:
    """The snapshot that a version was trained on, by the tags of its record."""
    today = parse_today(tags["today"])
    return gather(replace(settings, today=today), tags.get("days_left_out", "").split())


def read(file: Path) -> pd.DataFrame:
    """The history or the features, as a step before wrote them; raises StateError for a file that was altered since."""
    return read_parquet(file, "give the command again; the file is written anew.")


def in_doubt(flights: pd.DataFrame, days: Sequence[str]) -> "pd.Series[bool]":
    """Whether each flight departs on one of these days (YYYY-MM-DD)."""
    return flights["flight_id"].str[:10].isin(days)


def sample(known: pd.DataFrame, now: pd.Timestamp, without: Sequence[str] = ()) -> pd.DataFrame:
    """At most MOST_ROWS of the known flights: all recent ones, and a random sample of the older ones.

    without: as of `gather`.
    """
    certain = ~in_doubt(known, without)
    recent = certain & (known["predicted_at"] >= now - WHOLE)
    older = known.index[certain & ~recent].to_series()
    room = max(0, MOST_ROWS - int(recent.sum()))
    drawn = older if len(older) <= room else older.sample(room, random_state=SEED)
    return known[recent | known.index.isin(drawn)].reset_index(drop=True)


def windows(table: pd.DataFrame, now: pd.Timestamp) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Split a history in time: to tune on, to validate on (28 days), both together, to test on (the last 14 days).

    The parts to fit on hold only labels that were known when the part to validate or test on begins.
    """
    test_from, validate_from = now - TEST, now - WHOLE
    before_test = history(table, test_from)
    validation = before_test[before_test["predicted_at"] >= validate_from]
    return history(table, validate_from), validation, before_test, table[table["predicted_at"] >= test_from]


def validate(snapshot: Snapshot) -> None:
    """The data gate: raises DataError unless the snapshot keeps the contract, is fresh, and each part is sound.

    The parts are those to tune, to validate and to test on: large enough, and with labels like those before.
    """
    flights = check(read(snapshot.file), FLIGHT, str(snapshot.file))
    age = snapshot.now - flights["label_known_at"].max()
    if age > STALE_AFTER:
        raise DataError(
            f"{snapshot.file}: the newest label is {age} old, at most {STALE_AFTER} is allowed. "
            "Remedy: repair the label feed."
        )
    tune_on, validate_on, _, test_on = windows(flights, snapshot.now)
    parts = {"to tune on": tune_on, "to validate on": validate_on, "to test on": test_on}
    if few := [f"{len(one):,} {use}" for use, one in parts.items() if len(one) < FEWEST_ROWS]:
        raise DataError(
            f"{snapshot.file}: too few labelled flights: {', '.join(few)}, at least {FEWEST_ROWS:,} are needed: "
            f"validation is from {snapshot.now - WHOLE:%Y-%m-%d}, the test from {snapshot.now - TEST:%Y-%m-%d}, to "
            f"{snapshot.today}; the flights are of {flights['predicted_at'].min():%Y-%m-%d} to "
            f"{flights['predicted_at'].max():%Y-%m-%d}. Remedy: complete flights.csv, or choose another TODAY."
        )
    _check_labels(parts, snapshot)


def _check_labels(parts: dict[str, pd.DataFrame], snapshot: Snapshot) -> None:
    """Each part has both labels, and about as many late flights as the history before it."""
    shares = {use: float(one["late"].mean()) for use, one in parts.items()}
    before = shares["to tune on"]
    for use, share in shares.items():
        if not 0 < share < 1 or not before / LATE_FACTOR <= share <= before * LATE_FACTOR:
            raise DataError(
                f"{snapshot.file}: {share:.2%} of the {len(parts[use]):,} flights {use} are late, {before:.2%} of "
                f"those to tune on; both labels must occur, and the share be within {LATE_FACTOR:g} times that one. "
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
