"""The workers of a platform: one that has died is replaced, and leaves nothing behind."""

import os
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from sklearn.pipeline import Pipeline

from level2_devops.service.worker_process import address_of, open_socket
from level4_deployment.control.server import LONGEST_PAUSE, POLL_EVERY, WorkerPool, next_pause
from level4_deployment.prediction_log import open_log, url_of
from level4_deployment.serving import worker
from level4_deployment.serving.worker import Worker, start_worker
from tests.level4.plane import package, route
from tests.support import eventually


def test_who_keeps_dying_is_replaced_ever_later_and_who_has_lived_long_at_once() -> None:
    pauses = [0.0]
    for _ in range(10):
        pauses.append(next_pause(pauses[-1], lived=1.0))
    assert pauses[1:4] == [POLL_EVERY, 2 * POLL_EVERY, 4 * POLL_EVERY]
    assert pauses[-1] == LONGEST_PAUSE
    assert next_pause(LONGEST_PAUSE, lived=3600.0) == POLL_EVERY


def test_a_worker_that_was_killed_is_replaced_with_a_line_and_its_gauges_are_gone(
    tmp_path: Path, trained: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    route(tmp_path, 1, package(tmp_path, 1, trained))
    with open_log(url_of(tmp_path)), open_socket() as listening:
        pool = WorkerPool(lambda: start_worker(tmp_path, listening, url_of(tmp_path)), 1)
        try:
            pool.workers[0].wait_ready()
            dead = pool.workers[0].pid
            pool.workers[0].process.kill()

            def replaced() -> bool:
                pool.replace_dead()
                return pool.workers[0].pid != dead

            eventually(replaced, within=30)
            pool.workers[0].wait_ready()
            text = httpx.get(f"{address_of(listening)}/metrics").text
        finally:
            pool.stop()
    assert f"worker {dead} has ended" in capsys.readouterr().out
    gauges = [line for line in text.splitlines() if line.startswith("routes_generation{")]
    assert len(gauges) == 1
    assert str(dead) not in gauges[0]


def test_a_disk_that_is_full_for_a_while_takes_no_worker_along_and_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    full = False

    def start() -> Worker:
        if full:
            raise OSError(28, "No space left on device")
        return Worker(tmp_path, subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]))

    pool = WorkerPool(start, 2)
    try:
        alive, dead = pool.workers
        full = True
        dead.process.kill()
        dead.process.wait()

        def printed() -> str:
            pool.replace_dead()
            return capsys.readouterr().out

        why = f"worker {dead.pid} cannot be replaced: [Errno 28] No space left on device; another attempt in"
        eventually(lambda: why in printed(), within=30)
        assert pool.workers == [alive, dead]
        full = False
        eventually(lambda: not printed() and pool.workers[1].alive, within=30)
        assert pool.workers[0] is alive
        assert all(one.alive for one in pool.workers)
    finally:
        pool.stop()


DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"


@pytest.mark.skipif(os.name == "nt", reason="SIGTERM")
def test_workers_that_hang_are_waited_for_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "DRAINED_WITHIN", 1.0)
    deaf = [sys.executable, "-c", DEAF]
    pool = WorkerPool(lambda: Worker(tmp_path, subprocess.Popen(deaf, stdout=subprocess.PIPE)), 3)
    for one in pool.workers:
        with one.process.stdout as said:  # type: ignore[union-attr]
            assert said.readline() == b"deaf\n"
    begun = time.monotonic()
    pool.stop()
    assert 1.0 <= time.monotonic() - begun < 3.0, "one after another they take 3 s"
    assert not any(one.alive for one in pool.workers)
