"""A challenger that fails, is slow or hangs: real graphs in a real thread."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from level4_deployment.serving.batching import LIVE, SHADOW, ChallengerJob, ChallengerResult, ChallengerRunner
from level4_deployment.serving.model import Prediction, load_served
from level4_deployment.serving.package import Package
from tests.level4.graphs import busy, table_of_carriers

pytestmark = pytest.mark.anyio
CHANCES = {"B6": 0.1, "UA": 0.2}
CHAMPION = 100e-6  # seconds that a champion would work for such rows


def inputs(*carriers: str) -> tuple[Any, Any]:
    return np.array([[carrier, "JFK", "BOS"] for carrier in carriers], object), np.zeros((len(carriers), 26), "float32")


async def tried(
    challenger: ChallengerRunner, *carriers: str, wait: float = LIVE, champion: float = CHAMPION
) -> ChallengerResult:
    """Ask once, and wait for what comes of it."""
    heard: asyncio.Future[ChallengerResult] = asyncio.get_running_loop().create_future()
    challenger.submit(ChallengerJob(*inputs(*carriers), champion, wait, heard.set_result))
    return await heard


Run = Callable[[Package], ChallengerRunner]


@pytest.fixture
async def runs(tmp_path: Path) -> AsyncIterator[Run]:
    """Start a challenger, and let it finish at the end: a process that ends during a run would crash."""
    started: list[ChallengerRunner] = []

    def start(package: Package) -> ChallengerRunner:
        started.append(ChallengerRunner(load_served(tmp_path, package), asyncio.get_running_loop()))
        return started[-1]

    yield start
    for challenger in started:
        challenger.close()
        while challenger.thread.is_alive():
            await asyncio.sleep(0.01)


async def test_a_healthy_challenger_answers_every_row(tmp_path: Path, runs: Run) -> None:
    challenger = runs(table_of_carriers(tmp_path, 2, CHANCES))
    await tried(challenger, "B6", wait=SHADOW)  # the first run of a graph takes longer
    found = await tried(challenger, "B6", "UA", "B6", wait=SHADOW)  # however busy this machine is
    assert [one.probability for one in found.found if isinstance(one, Prediction)] == pytest.approx([0.1, 0.2, 0.1])
    assert not found.slow
    assert 0 < found.seconds < LIVE


async def test_a_challenger_that_takes_ten_times_as_long_is_slow(tmp_path: Path, runs: Run) -> None:
    champion = load_served(tmp_path, busy(tmp_path, 1, 1_000))
    challenger = runs(busy(tmp_path, 2, 10_000))
    slow = []
    for _ in range(20):
        begun = time.thread_time()
        champion.answers(*inputs("B6", "B6"))
        found = await tried(challenger, "B6", "B6", champion=time.thread_time() - begun, wait=SHADOW)
        assert all(isinstance(one, Prediction) for one in found.found)
        slow.append(found.slow)
    assert sum(slow) >= 18


async def test_a_challenger_that_hangs_delays_one_batch_only(tmp_path: Path, runs: Run) -> None:
    challenger = runs(busy(tmp_path, 2, 300_000))
    begun = time.perf_counter()
    first = await tried(challenger, "B6", "UA")
    waited = time.perf_counter() - begun
    assert (first.found, first.slow) == (["deadline"] * 2, True)
    assert LIVE <= waited < LIVE + 0.5
    await asyncio.sleep(0.01)
    begun = time.perf_counter()
    many = await asyncio.gather(*(tried(challenger, "B6") for _ in range(100)))
    assert time.perf_counter() - begun < LIVE, "a hundred more together wait less than one"
    assert {one.found[0] for one in many} == {"deadline: still at work on earlier flights"}


async def test_a_challenger_that_was_late_is_used_again(tmp_path: Path, runs: Run) -> None:
    challenger = runs(busy(tmp_path, 2, 100_000))
    assert (await tried(challenger, "B6")).found == ["deadline"]
    while challenger.over_at:
        await asyncio.sleep(0.01)
    found = await tried(challenger, "B6", wait=SHADOW)
    assert isinstance(found.found[0], Prediction), "in shadow it may take its time"
    assert found.slow


async def test_a_batch_that_keeps_the_champion_busy_gives_the_challenger_more_time(tmp_path: Path, runs: Run) -> None:
    challenger = runs(busy(tmp_path, 2, 60_000))
    found = await tried(challenger, "B6", champion=0.3)
    assert isinstance(found.found[0], Prediction)
    assert not found.slow


async def test_a_run_that_ends_while_the_next_is_submitted_is_no_error(
    tmp_path: Path, runs: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    challenger = runs(table_of_carriers(tmp_path, 2, CHANCES))
    seen = iter([time.monotonic() + 60])  # at work when it is looked at first, done by the second look
    racing = property(lambda _: next(seen, None), lambda *_: None)
    monkeypatch.setattr(ChallengerRunner, "over_at", racing, raising=False)
    found = await tried(challenger, "B6", wait=SHADOW)
    assert isinstance(found.found[0], Prediction)
