"""The workers of a platform: one that has died is replaced, and leaves nothing behind."""

import os
import signal
import time
from pathlib import Path

import httpx
import pytest
from sklearn.pipeline import Pipeline

from level2_devops import address_of, open_socket
from level4_deployment.log import open_log, url_of
from level4_deployment.serve import LONGEST_PAUSE, LOOK_EVERY, Crew, next_pause
from level4_deployment.worker import start_worker
from tests.level4.plane import package, route


def test_who_keeps_dying_is_replaced_ever_later_and_who_has_lived_long_at_once() -> None:
    pauses = [0.0]
    for _ in range(10):
        pauses.append(next_pause(pauses[-1], lived=1.0))
    assert pauses[1:4] == [LOOK_EVERY, 2 * LOOK_EVERY, 4 * LOOK_EVERY]
    assert pauses[-1] == LONGEST_PAUSE
    assert next_pause(LONGEST_PAUSE, lived=3600.0) == 0


def test_a_worker_that_was_killed_is_replaced_with_a_line_and_its_gauges_are_gone(
    tmp_path: Path, trained: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    route(tmp_path, 1, package(tmp_path, 1, trained))
    open_log(url_of(tmp_path)).dispose()
    with open_socket() as listening:
        crew = Crew(lambda: start_worker(tmp_path, listening, url_of(tmp_path)), 1)
        try:
            crew.workers[0].wait_ready()
            dead = crew.workers[0].pid
            os.kill(dead, signal.SIGKILL)
            until = time.monotonic() + 30
            while crew.workers[0].pid == dead and time.monotonic() < until:
                crew.replace_dead()
                time.sleep(0.05)
            crew.workers[0].wait_ready()
            text = httpx.get(f"{address_of(listening)}/metrics", trust_env=False).text
        finally:
            crew.stop()
    assert f"worker {dead} has ended" in capsys.readouterr().out
    gauges = [line for line in text.splitlines() if line.startswith("routes_generation{")]
    assert len(gauges) == 1
    assert str(dead) not in gauges[0]
