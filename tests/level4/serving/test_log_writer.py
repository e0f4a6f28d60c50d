"""The log writer on real databases: it acknowledges only committed rows, and all that wait together."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from level4_deployment.prediction_log import (
    INFERENCE_BATCHES,
    PREDICTIONS,
    SHADOW_PREDICTIONS,
    open_log,
    url_of,
)
from level4_deployment.serving.log_writer import LogEntry, LogWriter
from tests.factories import prediction
from tests.level4.postgres import new_database

pytestmark = pytest.mark.anyio


def row(name: str) -> tuple[Any, ...]:
    return tuple(prediction(f"flight {name}", request_id=name, request_payload="{}" * 200).values())


@asynccontextmanager
async def writing(engine: sa.Engine, committed: Callable[[float], None] = lambda _: None) -> AsyncIterator[LogWriter]:
    """A writer that is closed at the end of the block; committed: gets the seconds of each commit."""
    writer = LogWriter(engine, asyncio.get_running_loop(), committed)
    try:
        yield writer
    finally:
        await asyncio.to_thread(writer.close)


async def written(writer: LogWriter, *names: str) -> Exception | None:
    """Write predictions, and wait until the writer acknowledges them or returns an error."""
    heard: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
    writer.put(LogEntry({"predictions": [row(name) for name in names]}, heard.set_result))
    return await heard


def names(engine: sa.Engine) -> set[str]:
    with engine.connect() as connection:
        return set(connection.execute(sa.select(PREDICTIONS.c.request_id)).scalars())


async def test_an_acknowledged_row_is_visible_to_other_connections(log: sa.Engine) -> None:
    async with writing(log) as writer:
        for number in range(20):
            assert await written(writer, f"{number}") is None
            assert f"{number}" in names(log), "another connection sees it as soon as it is acknowledged"


async def test_rows_that_wait_are_committed_together(log: sa.Engine) -> None:
    commits: list[float] = []
    async with writing(log, commits.append) as writer:
        assert await asyncio.gather(*(written(writer, f"{number}") for number in range(300))) == [None] * 300
        for number in range(200):
            writer.put(LogEntry({"predictions": [row(f"at the end {number}")]}))
    assert len(names(log)) == 500, "what is queued at the end is written, too"
    assert len(commits) < 100


async def test_every_table_gets_its_rows_and_an_existing_row_is_kept(log: sa.Engine) -> None:
    async with writing(log) as writer:
        paired, scoring = [("1", 2, None, "deadline")], [(2, "e", 1, 1, 0.05, 1, 0)]
        writer.put(LogEntry({"shadow_predictions": paired, "inference_batches": scoring}))
        writer.put(LogEntry({"shadow_predictions": [("1", 2, 0.5, None)], "inference_batches": scoring}))
        assert await written(writer, "1") is None
        assert await written(writer, "1", "2") is None
    assert names(log) == {"1", "2"}
    with log.connect() as connection:
        assert list(map(tuple, connection.execute(sa.select(SHADOW_PREDICTIONS)))) == [("1", 2, None, "deadline")]
        found = connection.execute(sa.select(INFERENCE_BATCHES)).all()
    assert [tuple(row)[1:] for row in found] == [(2, "e", 1, 1, 0.05, 1, 0)] * 2
    assert len({row.number for row in found}) == 2


async def test_the_writer_waits_for_a_log_that_another_process_has_locked(tmp_path: Path) -> None:
    with open_log(url_of(tmp_path)) as engine:
        async with writing(engine) as writer:
            with engine.connect() as other:
                other.exec_driver_sql("BEGIN IMMEDIATE")
                asked = asyncio.create_task(written(writer, "1"))
                await asyncio.sleep(0.5)
                assert not asked.done()
                other.exec_driver_sql("COMMIT")
            assert await asked is None


@pytest.mark.slow
async def test_a_connection_that_the_server_closes_fails_one_group_only(postgresql: str) -> None:
    with open_log(new_database(postgresql)) as engine:
        async with writing(engine) as writer:
            assert await written(writer, "1") is None
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as other:
                others = "SELECT pg_terminate_backend(pid, 20000) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
                other.exec_driver_sql(f"{others} AND datname = current_database()")
            assert await written(writer, "2") is not None
            assert await written(writer, "3") is None
        assert names(engine) == {"1", "3"}
