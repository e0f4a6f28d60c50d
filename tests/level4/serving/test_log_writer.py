"""The log's writer on real databases: nothing is acknowledged that is not committed, and a full disk is survived."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from level4_deployment.prediction_log import (
    INFERENCE_BATCHES,
    PREDICTIONS,
    SHADOW_PREDICTIONS,
    LogError,
    open_log,
    url_of,
)
from level4_deployment.serving.log_writer import LogEntry, LogWriter
from tests.level4.postgres import new_database


def prediction(name: str) -> tuple[Any, ...]:
    return (name, f"flight {name}", 1e9, 1e9, "{}" * 200, None, "champion", 1.0, 1, 0.5, "", 0.001)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.Engine]:
    sqlite = request.param == "sqlite"
    engine = open_log(url_of(tmp_path) if sqlite else new_database(request.getfixturevalue("postgresql")))
    yield engine
    engine.dispose()


def with_writer(engine: sa.Engine, work: Callable[[LogWriter], Coroutine[Any, Any, None]]) -> list[float]:
    """Run `work` with a writer; returns the seconds of its commits."""
    commits: list[float] = []

    async def run() -> None:
        writer = LogWriter(engine, asyncio.get_running_loop(), commits.append)
        try:
            await work(writer)
        finally:
            await asyncio.to_thread(writer.close)

    asyncio.run(run())
    return commits


async def written(writer: LogWriter, *names: str) -> Exception | None:
    """Write predictions, and wait for what the writer says."""
    heard: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
    writer.put(LogEntry({"predictions": [prediction(name) for name in names]}, heard.set_result))
    return await heard


def names(engine: sa.Engine) -> set[str]:
    with engine.connect() as connection:
        return set(connection.execute(sa.select(PREDICTIONS.c.request_id)).scalars())


def test_what_is_acknowledged_is_there_for_everybody(log: sa.Engine) -> None:
    async def work(writer: LogWriter) -> None:
        for number in range(20):
            assert await written(writer, f"{number}") is None
            assert f"{number}" in names(log), "another connection sees it as soon as it is acknowledged"

    with_writer(log, work)


def test_what_waits_is_committed_together(log: sa.Engine) -> None:
    async def work(writer: LogWriter) -> None:
        assert await asyncio.gather(*(written(writer, f"{number}") for number in range(300))) == [None] * 300

    commits = with_writer(log, work)
    assert len(names(log)) == 300
    assert len(commits) < 100


def test_every_table_gets_its_rows_and_a_row_that_is_there_is_left_alone(log: sa.Engine) -> None:
    async def work(writer: LogWriter) -> None:
        paired, scoring = [("1", 2, None, "deadline")], [(2, "e", 1, 1, 0.05, 1, 0)]
        writer.put(LogEntry({"shadow_predictions": paired, "inference_batches": scoring}))
        writer.put(LogEntry({"shadow_predictions": [("1", 2, 0.5, None)], "inference_batches": scoring}))
        assert await written(writer, "1") is None
        assert await written(writer, "1", "2") is None

    with_writer(log, work)
    assert names(log) == {"1", "2"}
    with log.connect() as connection:
        assert list(map(tuple, connection.execute(sa.select(SHADOW_PREDICTIONS)))) == [("1", 2, None, "deadline")]
        found = connection.execute(sa.select(INFERENCE_BATCHES)).all()
    assert [tuple(row)[1:] for row in found] == [(2, "e", 1, 1, 0.05, 1, 0)] * 2
    assert len({row.number for row in found}) == 2


def test_what_waits_at_the_end_is_written(log: sa.Engine) -> None:
    async def work(writer: LogWriter) -> None:
        for number in range(200):
            writer.put(LogEntry({"predictions": [prediction(f"{number}")]}))

    with_writer(log, work)
    assert len(names(log)) == 200


def test_a_full_disk_is_told_and_once_there_is_room_it_goes_on(tmp_path: Path) -> None:
    engine = open_log(url_of(tmp_path))
    most = {"pages": 40}

    @sa.event.listens_for(engine, "connect")
    def limit(connection: Any, _record: object) -> None:
        connection.execute(f"PRAGMA max_page_count={most['pages']}")

    engine.dispose()

    async def work(writer: LogWriter) -> None:
        kept, failed = set(), []
        for number in range(400):
            error = await written(writer, f"{number}")
            kept |= {f"{number}"} if error is None else set()
            failed += [error] if error else []
        assert "full" in str(failed[0])
        assert kept == names(engine)
        assert 0 < len(kept) < 400
        most["pages"] = 100_000
        engine.dispose()  # connections that are open keep their limit
        assert await written(writer, "after") is None
        assert "after" in names(engine)

    with_writer(engine, work)


def test_a_log_that_another_process_holds_is_waited_for(tmp_path: Path) -> None:
    engine = open_log(url_of(tmp_path))

    async def work(writer: LogWriter) -> None:
        with engine.connect() as other:
            other.exec_driver_sql("BEGIN IMMEDIATE")
            asked = asyncio.create_task(written(writer, "1"))
            await asyncio.sleep(0.5)
            assert not asked.done()
            other.exec_driver_sql("COMMIT")
        assert await asked is None

    with_writer(engine, work)


@pytest.mark.slow
def test_a_connection_that_the_server_ends_costs_one_group(postgresql: str) -> None:
    engine = open_log(new_database(postgresql))

    async def work(writer: LogWriter) -> None:
        assert await written(writer, "1") is None
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as other:
            others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
            other.exec_driver_sql(f"{others} AND datname = current_database()")
        time.sleep(0.2)
        assert await written(writer, "2") is not None
        assert await written(writer, "3") is None

    with_writer(engine, work)
    assert names(engine) == {"1", "3"}
    engine.dispose()


@pytest.mark.parametrize("url", ["nonsense", "me:secret@somewhere"])
def test_an_address_that_is_no_url_is_told_with_the_remedy_and_without_a_password(url: str) -> None:
    with pytest.raises(LogError, match="no URL of a database") as told:
        open_log(url)
    assert "Remedy: PREDICTION_LOG=" in str(told.value)
    assert "secret" not in str(told.value)


def test_a_log_of_an_earlier_version_is_told_with_the_remedy(log: sa.Engine) -> None:
    with log.begin() as connection:
        connection.execute(sa.text("ALTER TABLE inference_batches DROP COLUMN fell_back"))
    with pytest.raises(LogError, match=r"earlier version .* no inference_batches\.fell_back\. Remedy: make clean"):
        open_log(log.url.render_as_string(hide_password=False))
