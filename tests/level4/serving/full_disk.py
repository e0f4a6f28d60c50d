"""A log on SQLite whose disk is full, and gets space again."""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa


def limit_disk(log: sa.Engine, pages: int) -> Callable[[], None]:
    """Let a log on SQLite grow to so many pages; returns a function that gives it more space."""
    most = pages

    @sa.event.listens_for(log, "connect")
    def limit(connection: Any, _record: object) -> None:
        connection.execute(f"PRAGMA max_page_count={most}")

    def give_space() -> None:
        nonlocal most
        most = 100_000
        log.dispose()  # connections that are open keep their limit

    log.dispose()
    return give_space
