"""Registries in trouble: locked, gone, garbage, or taking nothing."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tests.level4.conftest import Registry


@contextmanager
def locked(file: Path) -> Iterator[None]:
    with closing(sqlite3.connect(file, isolation_level=None)) as database:
        database.execute("BEGIN EXCLUSIVE")
        yield
        database.execute("ROLLBACK")


@contextmanager
def replaced(file: Path, by: bytes | None) -> Iterator[None]:
    away = file.rename(file.with_suffix(".away"))
    if by is not None:
        file.write_bytes(by)
    try:
        yield
        assert by == (file.read_bytes() if file.exists() else None), "nobody has made a new one"
    finally:
        away.rename(file)


DOWN = {
    "locked": locked,
    "gone": lambda file: replaced(file, None),
    "garbage": lambda file: replaced(file, b"garbage" * 10_000),
}


@contextmanager
def refusing(registry_: Registry) -> Iterator[None]:
    """A registry that can be read, and moves no alias while the block runs."""
    when = "CREATE TRIGGER full BEFORE UPDATE ON registered_model_aliases BEGIN SELECT RAISE(ABORT, 'full'); END"
    with closing(sqlite3.connect(registry_.settings.level("level3") / "mlflow.db")) as database:
        database.execute(when)
        try:
            yield
        finally:
            database.execute("DROP TRIGGER full")
