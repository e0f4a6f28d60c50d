"""Group commit: one thread writes the prediction log, and acknowledges rows only once they are committed."""

import queue
import threading
import time
from asyncio import AbstractEventLoop
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from level4_deployment.prediction_log import INFERENCE_BATCHES, PREDICTIONS, SHADOW_PREDICTIONS, insert

TABLES = (PREDICTIONS, SHADOW_PREDICTIONS, INFERENCE_BATCHES)
MOST_ENTRIES = 500  # in one commit
CLOSED_WITHIN = 10.0  # seconds


@dataclass
class LogEntry:
    """Rows to be committed together, by table, each a tuple in the order of the columns.

    done: called in the event loop after the commit, with None or with the error.
    """

    rows: dict[str, list[tuple[Any, ...]]] = field(default_factory=dict)
    done: Callable[[Exception | None], None] | None = None


class LogWriter:
    """A thread with a connection of its own; after an error, the next entry is tried on a new connection."""

    def __init__(self, engine: sa.Engine, loop: AbstractEventLoop, observe: Callable[[float], None]) -> None:
        """`observe` is called with the seconds of each commit."""
        self.engine, self.loop, self.observe = engine, loop, observe
        self.statements = {table.name: _statement(engine, table) for table in TABLES}
        self.entries: queue.SimpleQueue[LogEntry | None] = queue.SimpleQueue()
        self.connection: Any = None
        self.thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self.thread.start()

    def put(self, entry: LogEntry) -> None:
        """Queue an entry; returns at once."""
        self.entries.put(entry)

    def close(self) -> None:
        """Write the queued entries and end the thread."""
        self.entries.put(None)
        self.thread.join(CLOSED_WITHIN)

    def _run(self) -> None:
        while (first := self.entries.get()) is not None:
            group, last = [first], False
            while len(group) < MOST_ENTRIES and not self.entries.empty():
                entry = self.entries.get()
                if last := entry is None:
                    break
                group.append(entry)
            self.loop.call_soon_threadsafe(_acknowledge, group, self._commit(group))
            if last:
                break
        if self.connection is not None:
            self.connection.close()

    def _commit(self, group: list[LogEntry]) -> Exception | None:
        """Commit all rows of a group; returns the error if it fails."""
        begun = time.perf_counter()
        try:
            if self.connection is None:
                self.connection = self.engine.raw_connection()
            cursor = self.connection.cursor()
            for name, statement in self.statements.items():
                if rows := [row for entry in group for row in entry.rows.get(name, ())]:
                    cursor.executemany(statement, rows)
            cursor.close()
            self.connection.commit()
        except Exception as error:  # noqa: BLE001 - each driver has errors of its own; the callers get them
            if self.connection is not None:
                self.connection.invalidate()
                self.connection = None
            return error
        self.observe(time.perf_counter() - begun)
        return None


def _acknowledge(group: list[LogEntry], error: Exception | None) -> None:
    for entry in group:
        if entry.done:
            entry.done(error)


def _statement(engine: sa.Engine, table: sa.Table) -> str:
    """The table's INSERT in the driver's own notation.

    SQLAlchemy writes the statement and the driver runs it: through `Connection.execute`, a commit of eight rows takes
    three times as long, and one of a single row eight times.
    """
    dialect: Any = type(engine.dialect)
    plain = dialect(paramstyle="qmark" if engine.dialect.name == "sqlite" else "format")
    values = {column.name: None for column in table.columns if column is not table.autoincrement_column}
    return str(insert(engine, table).values(values).compile(dialect=plain))
