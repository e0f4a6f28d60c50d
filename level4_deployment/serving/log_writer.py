"""The log's one writer: what has come in since the last commit is committed together, and only then acknowledged."""

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
ENDED_WITHIN = 10.0  # seconds

Done = Callable[[Exception | None], None]


@dataclass
class LogEntry:
    """Rows that belong together, by name of their table, each a tuple in the order of its columns.

    done: called in the event loop, with None once they are committed, or with what went wrong.
    """

    rows: dict[str, list[tuple[Any, ...]]] = field(default_factory=dict)
    done: Done | None = None


class LogWriter:
    """A thread with a connection of its own. A log that fails is tried again with the next entry."""

    def __init__(self, engine: sa.Engine, loop: AbstractEventLoop, tell: Callable[[float], None]) -> None:
        """`tell` hears the seconds of each commit."""
        self.engine, self.loop, self.tell = engine, loop, tell
        self.statements = {table.name: _statement(engine, table) for table in TABLES}
        self.entries: queue.SimpleQueue[LogEntry | None] = queue.SimpleQueue()
        self.connection: Any = None
        self.thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self.thread.start()

    def put(self, entry: LogEntry) -> None:
        """Have an entry written; returns at once."""
        self.entries.put(entry)

    def close(self) -> None:
        """Write what waits, and end."""
        self.entries.put(None)
        self.thread.join(ENDED_WITHIN)

    def _run(self) -> None:
        while (first := self.entries.get()) is not None:
            group, last = [first], False
            while len(group) < MOST_ENTRIES and not self.entries.empty():
                entry = self.entries.get()
                if last := entry is None:
                    break
                group.append(entry)
            self.loop.call_soon_threadsafe(_settle, group, self._commit(group))
            if last:
                break
        if self.connection is not None:
            self.connection.close()

    def _commit(self, group: list[LogEntry]) -> Exception | None:
        """Commit a group; returns what went wrong."""
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
        except Exception as error:  # noqa: BLE001 - each driver has its own; whatever it is, nothing was acknowledged
            self._drop_connection()
            return error
        self.tell(time.perf_counter() - begun)
        return None

    def _drop_connection(self) -> None:
        if self.connection is not None:
            self.connection.invalidate()
            self.connection = None


def _settle(group: list[LogEntry], error: Exception | None) -> None:
    for entry in group:
        if entry.done:
            entry.done(error)


def _statement(engine: sa.Engine, table: sa.Table) -> str:
    """The INSERT as the driver takes it, with places instead of names.

    SQLAlchemy writes the statement and its driver runs it: through `Connection.execute`, a commit of eight rows takes
    three times as long, one of a single row eight times.
    """
    dialect: Any = type(engine.dialect)
    plain = dialect(paramstyle="qmark" if engine.dialect.name == "sqlite" else "format")
    values = {column.name: None for column in table.columns if column is not table.autoincrement_column}
    return str(insert(engine, table).values(values).compile(dialect=plain))
