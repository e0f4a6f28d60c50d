"""The prediction log: all tables of level 4 in one database, SQLite or PostgreSQL."""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from shared.errors import UserError, show_address
from shared.files import check_database

METADATA = sa.MetaData()

# All times are seconds since 1970 (UTC).
PREDICTIONS = sa.Table(
    "predictions",  # every answer that a user got
    METADATA,
    sa.Column("request_id", sa.Text, primary_key=True),
    sa.Column("flight_id", sa.Text, nullable=False, index=True),
    sa.Column("departs_at", sa.Double, nullable=False, index=True),
    sa.Column("asked_at", sa.Double, nullable=False),  # by this machine's clock
    sa.Column("request_payload", sa.Text, nullable=False),  # the JSON of the request
    sa.Column("experiment", sa.Text),
    sa.Column("arm", sa.Text, nullable=False),  # champion or challenger, by the assignment
    sa.Column("propensity", sa.Double, nullable=False),  # the probability of this arm
    sa.Column("version", sa.Integer, nullable=False),  # the version that answered: the champion if a challenger failed
    sa.Column("probability", sa.Double, nullable=False),
    sa.Column("fallback", sa.Text, nullable=False),  # the fields whose codes the model has never seen
    sa.Column("seconds", sa.Double, nullable=False),  # from the request to this row, without the commit
    sa.Index("ix_predictions_experiment", "experiment", "departs_at"),
)
SHADOW_PREDICTIONS = sa.Table(
    "shadow_predictions",  # the other model's score of the same flight, which no user gets
    METADATA,
    sa.Column("request_id", sa.Text, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False, index=True),
    sa.Column("probability", sa.Double),  # none when it failed
    sa.Column("failure", sa.Text),
)
INFERENCE_BATCHES = sa.Table(
    "inference_batches",  # one row for each batch that a model scored
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("experiment", sa.Text),
    sa.Column("rows", sa.Integer, nullable=False),
    sa.Column("failed", sa.Integer, nullable=False),  # of these rows
    sa.Column("seconds", sa.Double, nullable=False),
    sa.Column("slow", sa.Integer, nullable=False),  # 1 when it took several times as long as the champion
    sa.Column("fell_back", sa.Integer, nullable=False, server_default="0"),  # rows with codes only the champion knows
    sa.Index("ix_inference_batches_version", "version", "experiment"),
)
LABELS = sa.Table(
    "labels",  # the first label of each flight
    METADATA,
    sa.Column("flight_id", sa.Text, primary_key=True),
    sa.Column("late", sa.Integer, nullable=False),
    sa.Column("known_at", sa.Double, nullable=False),
    sa.Column("received_at", sa.Double, nullable=False),
)
QUARANTINED_LABELS = sa.Table(
    "quarantined_labels",  # labels that contradict the first one of their flight: neither of the two is used
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("flight_id", sa.Text, nullable=False, index=True),
    sa.Column("late", sa.Integer, nullable=False),
    sa.Column("known_at", sa.Double, nullable=False),
    sa.Column("received_at", sa.Double, nullable=False),
)
WATERMARKS = sa.Table(
    "watermarks",
    METADATA,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("watermark", sa.Double, nullable=False),  # all labels known before this time have been sent
)
EXPERIMENTS = sa.Table(
    "experiments",
    METADATA,
    sa.Column("experiment", sa.Text, primary_key=True),
    sa.Column("champion", sa.Integer, nullable=False),
    sa.Column("challenger", sa.Integer, nullable=False),
    sa.Column("share", sa.Double, nullable=False),  # of flights that the challenger answers; 0 in shadow
    sa.Column("plan", sa.Text, nullable=False),  # JSON of a Plan
    sa.Column("live_from", sa.Text),  # the first day of the live split
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("verdict", sa.Text),  # JSON of the figures of a Verdict, once there is one
    sa.Column("reason", sa.Text),  # none where the verdict is the reason
    sa.Column("actor", sa.Text, nullable=False),  # who submitted the challenger
    sa.Column("number", sa.Integer, nullable=False),  # 1 is the first
)
EXPERIMENT_DAYS = sa.Table(
    "experiment_days",  # what an experiment measured on a closed day; written once
    METADATA,
    sa.Column("experiment", sa.Text, primary_key=True),
    sa.Column("day", sa.Text, primary_key=True),
    sa.Column("flights", sa.Integer, nullable=False),  # with both scores and a label
    sa.Column("mean_loss_difference", sa.Double),  # over these flights: the champion's loss minus the challenger's
    sa.Column("champion_arm", sa.Integer, nullable=False),  # flights of the live split, by arm
    sa.Column("challenger_arm", sa.Integer, nullable=False),
)
AUDIT = sa.Table(
    "audit",  # an intent log: a row is written before an action and closed after it; control.audit reads and writes it
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("version", sa.Integer),  # the version that the action is about
    sa.Column("experiment", sa.Text),  # the experiment that the action is about
    sa.Column("old_value", sa.Text),  # the champion's version, the experiment's state or its share, by the action
    sa.Column("new_value", sa.Text),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),  # open, done or cut_off
)


class LogError(UserError):
    """A log that cannot be opened."""


def url_of(home: Path) -> str:
    """Where a platform keeps its log: PREDICTION_LOG, which may hold a password, or SQLite in the platform's folder."""
    if url := os.environ.get("PREDICTION_LOG"):
        return url
    if "?" in str(home):
        raise LogError(f"a prediction log in SQLite takes no ? in {home}. Remedy: a folder without one.")
    return f"sqlite:///{home / 'log.db'}"


@contextmanager
def open_log(url: str) -> Iterator[sa.Engine]:
    """The log at `url`, with its tables, while the block runs; raises LogError.

    SQLite runs in WAL mode. synchronous=NORMAL loses nothing when a process is killed; a power cut may lose the last
    commits.
    """
    remedy = "Remedy: PREDICTION_LOG=postgresql+psycopg://user@host/database, or leave it out for SQLite."
    shown = show_address(url)
    try:
        address = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):  # whose text may hold the password
        raise LogError(f"the prediction log's address is no URL of a database. {remedy}") from None
    if "@" in (address.host or ""):
        raise LogError(f"the prediction log's address {shown!r} has two @. Remedy: in a password, write @ as %40.")
    if address.drivername.startswith("sqlite") and address.database:
        file = Path(address.database)
        check_database(file, f"move {file} away; a new log begins, without its predictions")
    with ExitStack() as opened:
        try:
            engine = sa.create_engine(address)
            opened.callback(engine.dispose)
            if engine.dialect.name == "sqlite":
                sa.event.listen(engine, "connect", _set_up_sqlite)
            prepare_tables(engine, METADATA)
        except (sa.exc.SQLAlchemyError, ModuleNotFoundError) as error:
            why = " ".join(str(getattr(error, "orig", None) or error).split())
            raise LogError(f"the prediction log at {shown} cannot be opened: {why}. {remedy}") from error
        yield engine


def prepare_tables(engine: sa.Engine, metadata: sa.MetaData) -> None:
    """Make the tables of `metadata`, all in one transaction; raises LogError for a database of an earlier version.

    Tables are made together, so a database that has some of them and not all, or not all of their columns, was begun
    by an earlier version: its rows may mean something else.
    """
    with engine.connect() as connection:
        if not _missing(connection, metadata):
            return
    with engine.begin() as connection:
        # Several processes may start at once: the first one makes the tables, and the others wait.
        lock = "BEGIN IMMEDIATE" if engine.dialect.name == "sqlite" else "SELECT pg_advisory_xact_lock(2013)"
        connection.exec_driver_sql(lock)
        there = set(sa.inspect(connection).get_table_names())
        if not there & metadata.tables.keys():
            metadata.create_all(connection)
        missing = _missing(connection, metadata)
    if missing:
        raise LogError(
            f"the prediction log at {show_address(str(engine.url))} was begun by an earlier version of this project: "
            f"it has no column {missing[0]}. Remedy: make clean, or an empty database for PREDICTION_LOG."
        )


def _missing(connection: sa.Connection, metadata: sa.MetaData) -> list[str]:
    """The columns that a database does not have, as table.column."""
    found = sa.inspect(connection).get_multi_columns()
    there = {(table, column["name"]) for (_, table), columns in found.items() for column in columns}
    wanted = [(table.name, column.name) for table in metadata.sorted_tables for column in table.columns]
    return [f"{table}.{column}" for table, column in wanted if (table, column) not in there]


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
    """The first prediction of each flight with its label: `columns`, `late` and `known_at`, in order of asked_at.

    columns: of PREDICTIONS, flight_id among them. known_by: labels known after this time are left out. late and
    known_at are NaN for a flight without a label, and for one whose labels contradict each other.
    shadow: with `other_probability`, the other model's score of the same flight.
    """
    usable = [LABELS.c.flight_id == PREDICTIONS.c.flight_id]
    usable.append(LABELS.c.flight_id.not_in(sa.select(QUARANTINED_LABELS.c.flight_id)))
    if known_by is not None:
        usable.append(LABELS.c.known_at <= known_by)
    wanted: list[sa.ColumnElement[Any]] = [*columns, LABELS.c.late, LABELS.c.known_at]
    source = PREDICTIONS.outerjoin(LABELS, sa.and_(*usable))
    numbers = ["late", "known_at"]
    if shadow:
        numbers.append("other_probability")
        wanted.append(SHADOW_PREDICTIONS.c.probability.label("other_probability"))
        source = source.outerjoin(SHADOW_PREDICTIONS, SHADOW_PREDICTIONS.c.request_id == PREDICTIONS.c.request_id)
    query = sa.select(*wanted).select_from(source).where(*where).order_by(PREDICTIONS.c.asked_at)
    with log.connect() as connection:
        cursor = connection.execute(query).cursor  # without an object for each of a year's rows
        rows = pd.DataFrame(cursor.fetchall() if cursor else [], columns=[column.key for column in wanted])
    return rows.drop_duplicates("flight_id", ignore_index=True).astype(dict.fromkeys(numbers, float))
