"""The prediction log: every answer, every score that was not returned, every outcome; SQLite or PostgreSQL."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from shared.errors import UserError

METADATA = sa.MetaData()

# All instants are seconds since 1970 (UTC).
PREDICTIONS = sa.Table(
    "predictions",
    METADATA,
    sa.Column("request_id", sa.Text, primary_key=True),
    sa.Column("flight_id", sa.Text, nullable=False, index=True),
    sa.Column("departs_at", sa.Double, nullable=False, index=True),
    sa.Column("asked_at", sa.Double, nullable=False),  # by this machine's clock
    sa.Column("request_payload", sa.Text, nullable=False),  # the request, as it was sent
    sa.Column("experiment", sa.Text),
    sa.Column("arm", sa.Text, nullable=False),  # champion or challenger: whose turn it was
    sa.Column("propensity", sa.Double, nullable=False),  # the chance that a flight had to come into this arm
    sa.Column("version", sa.Integer, nullable=False),  # who answered: the champion also for a challenger that failed
    sa.Column("probability", sa.Double, nullable=False),
    sa.Column("fallback", sa.Text, nullable=False),  # the fields whose codes the model has never seen
    sa.Column("seconds", sa.Double, nullable=False),  # from the request to this row: all but the commit
    sa.Index("ix_predictions_experiment", "experiment", "departs_at"),
)
SHADOW_PREDICTIONS = sa.Table(
    "shadow_predictions",  # the other model's score of the same flight: never returned
    METADATA,
    sa.Column("request_id", sa.Text, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False, index=True),
    sa.Column("probability", sa.Double),  # none when it failed
    sa.Column("failure", sa.Text),
)
INFERENCE_BATCHES = sa.Table(
    "inference_batches",  # how a model fared: one row each time it was asked for some rows at once
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False, index=True),
    sa.Column("experiment", sa.Text),
    sa.Column("rows", sa.Integer, nullable=False),
    sa.Column("failed", sa.Integer, nullable=False),  # of these rows
    sa.Column("seconds", sa.Double, nullable=False),
    sa.Column("slow", sa.Integer, nullable=False),  # 1 when it took several times as long as the champion did
    sa.Column("fell_back", sa.Integer, nullable=False, server_default="0"),  # rows it knows less of than the champion
)
LABELS = sa.Table(
    "labels",
    METADATA,
    sa.Column("flight_id", sa.Text, primary_key=True),
    sa.Column("late", sa.Integer, nullable=False),
    sa.Column("known_at", sa.Double, nullable=False),
    sa.Column("received_at", sa.Double, nullable=False),
)
QUARANTINE = sa.Table(
    "quarantine",  # what contradicts an outcome that is here; neither of the two is used
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("flight_id", sa.Text, nullable=False, index=True),
    sa.Column("late", sa.Integer, nullable=False),
    sa.Column("known_at", sa.Double, nullable=False),
    sa.Column("received_at", sa.Double, nullable=False),
)


class LogError(UserError):
    """A log that cannot be opened."""


def url_of(home: Path) -> str:
    """Where a platform keeps its log: PREDICTION_LOG, or else SQLite in the platform's folder."""
    return os.environ.get("PREDICTION_LOG") or f"sqlite:///{home / 'log.db'}"


def open_log(url: str) -> sa.Engine:
    """The log at `url`, with its tables. SQLite: WAL, a commit is on disk's way before it is acknowledged.

    synchronous=NORMAL loses nothing when a process is killed; a power cut may take the last commits.
    """
    remedy = "Remedy: PREDICTION_LOG=postgresql+psycopg://user@host/database, or leave it out for SQLite."
    try:
        address = sa.make_url(url)
    except sa.exc.ArgumentError as error:
        shown = url.rpartition("@")[2]  # without a password
        raise LogError(f"the prediction log's address {shown!r} is no URL of a database. {remedy}") from error
    try:
        engine = sa.create_engine(address)
        if engine.dialect.name == "sqlite":
            sa.event.listen(engine, "connect", _set_up_sqlite)
        prepare_tables(engine, METADATA)
    except (sa.exc.SQLAlchemyError, ModuleNotFoundError) as error:
        raise LogError(
            f"the prediction log at {address.render_as_string()} cannot be opened: {error}. {remedy}"
        ) from error
    return engine


def prepare_tables(engine: sa.Engine, metadata: sa.MetaData) -> None:
    """Create the tables that are not there yet; raises LogError where one lacks a column.

    Such a table was created by an earlier version of this project.
    """
    metadata.create_all(engine)
    there = sa.inspect(engine).get_multi_columns()
    known = {(table, column["name"]) for (_, table), columns in there.items() for column in columns}
    columns = [(table.name, column.name) for table in metadata.sorted_tables for column in table.columns]
    if missing := [f"{table}.{column}" for table, column in columns if (table, column) not in known]:
        engine.dispose()
        raise LogError(
            f"the prediction log at {engine.url.render_as_string()} was begun by an earlier version of this project: "
            f"it has no {', '.join(missing)}. Remedy: make clean, or an empty database for PREDICTION_LOG."
        )


def _set_up_sqlite(connection: Any, _record: object) -> None:
    for setting in ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=5000"):
        connection.execute(f"PRAGMA {setting}")


def insert(engine: sa.Engine, table: sa.Table) -> Any:
    """An INSERT that leaves a row alone whose key is there already."""
    dialect = postgresql if engine.dialect.name == "postgresql" else sqlite
    return dialect.insert(table).on_conflict_do_nothing()


def first_predictions(
    log: sa.Engine,
    columns: Sequence[sa.Column[Any]],
    *,
    where: Sequence[sa.ColumnElement[bool]] = (),
    known_by: float | None = None,
    shadow: bool = False,
) -> pd.DataFrame:
    """Each flight's first prediction joined to its label: `columns`, late and known_at, in order of asked_at.

    columns: flight_id among them. known_by: seconds since 1970; labels known later are left out. late and known_at are
    missing where no label is known, or where two contradict each other. shadow: add other_probability, the score that
    was not returned.
    """
    usable = [
        LABELS.c.flight_id == PREDICTIONS.c.flight_id,
        LABELS.c.flight_id.not_in(sa.select(QUARANTINE.c.flight_id)),
    ]
    if known_by is not None:
        usable.append(LABELS.c.known_at <= known_by)
    wanted: list[sa.ColumnElement[Any]] = [*columns, LABELS.c.late, LABELS.c.known_at]
    joined = PREDICTIONS.outerjoin(LABELS, sa.and_(*usable))
    if shadow:
        wanted.append(SHADOW_PREDICTIONS.c.probability.label("other_probability"))
        joined = joined.outerjoin(SHADOW_PREDICTIONS, SHADOW_PREDICTIONS.c.request_id == PREDICTIONS.c.request_id)
    query = sa.select(*wanted).select_from(joined).where(*where).order_by(PREDICTIONS.c.asked_at)
    with log.connect() as connection:
        found = pd.DataFrame(connection.execute(query).all(), columns=[column.name for column in wanted])
    return found.drop_duplicates("flight_id", ignore_index=True)
