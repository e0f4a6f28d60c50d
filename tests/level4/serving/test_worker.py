"""Workers as real processes: killed and ended under load, out of disk, with a log on SQLite or PostgreSQL."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import sqlalchemy as sa
from sklearn.pipeline import Pipeline

from level2_devops.load_generator import traffic
from level2_devops.service.worker_process import address_of, open_socket
from level4_deployment.control.server import api_server
from level4_deployment.prediction_log import PREDICTIONS, open_log, url_of
from level4_deployment.serving.app import create_app
from level4_deployment.serving.package import Package
from tests.level4.plane import package, plane, route
from tests.support import eventually


def test_a_worker_killed_under_load_loses_no_acknowledged_answer(
    trained: Pipeline, tmp_path: Path, sent: list[dict[str, Any]], url: str
) -> None:
    made = package(tmp_path, 1, trained)
    route(tmp_path, 1, made, Package(2, made.files))
    answered, failures, stop = list[str](), list[object](), threading.Event()

    def ask(address: str) -> None:
        with httpx.Client(base_url=address, timeout=20) as client:
            for flight in cycle(sent):
                if stop.is_set():
                    return
                try:
                    answered.append(client.post("/predict", json=flight).raise_for_status().json()["request_id"])
                except httpx.HTTPError as error:
                    failures.append(error)

    with plane(tmp_path, log_url=url) as running, ThreadPoolExecutor(4) as clients:
        try:
            for _ in range(4):
                clients.submit(ask, running.address)
            eventually(lambda: len(answered) > 50, within=60)
            running.workers[0].process.kill()
            before = len(answered)
            running.start_another()
            eventually(lambda: len(answered) > before + 20, within=60)  # also requests that waited on the socket
        finally:
            stop.set()
        clients.shutdown()
        assert len(failures) <= 4, "at most the requests that the killed worker had read"
        with open_log(url) as log, log.connect() as connection:
            assert set(answered) <= set(connection.execute(sa.select(PREDICTIONS.c.request_id)).scalars())
        pids = [one["pid"] for one in running.ready()["workers"]]
        assert pids == [running.workers[1].pid], "the killed one has no file"


@pytest.mark.slow
def test_two_workers_agree_on_every_flight_and_one_that_is_stopped_under_load_loses_no_request(
    trained: Pipeline, tmp_path: Path, sent: list[dict[str, Any]]
) -> None:
    made = package(tmp_path, 1, trained)
    route(tmp_path, 1, made, Package(2, made.files), 0.5)
    with plane(tmp_path, 2) as running:
        for _ in range(6):  # a new connection may be taken by either
            with httpx.Client(base_url=running.address, timeout=20) as client:
                client.post("/predict/batch", json={"flights": sent}).raise_for_status()
        rows = running.rows("SELECT flight_id, arm, version FROM predictions")
        both = running.client.get("/metrics").text
        with traffic(running.address, sent, clients=8) as seen:
            eventually(lambda: len(running.logged()) >= len(rows) + 100, 30)
            running.workers[0].stop()
            time.sleep(0.5)
        assert running.workers[0].process.returncode == 0
        assert running.workers[0].status() is None, "its file is gone"
        assert [one["pid"] for one in running.ready()["workers"]] == [running.workers[1].pid]
    assert (seen.failed, len(seen.rows) > 30) == ([], True)
    assert len(rows) == 6 * len(sent)
    assert len(set(rows)) == len(sent), "a flight's arm and version never vary"
    assert {(arm, version) for _, arm, version in rows} == {("champion", 1), ("challenger", 2)}
    counted = [float(line.split()[-1]) for line in both.splitlines() if line.startswith("predictions_total")]
    assert sum(counted) == len(rows), "every worker's /metrics counts for all workers"
    assert sum(line.startswith("routes_generation{") for line in both.splitlines()) == 2


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


def test_a_full_disk_gives_503_and_once_there_is_space_predictions_return(
    trained: Pipeline, tmp_path: Path, sent: list[dict[str, Any]]
) -> None:
    route(tmp_path, 1, package(tmp_path, 1, trained))
    with (
        open_log(url_of(tmp_path)) as log,
        open_socket() as listening,
        api_server(create_app(tmp_path, log), listening),
        httpx.Client(base_url=address_of(listening), timeout=20) as client,
    ):
        give_space = limit_disk(log, pages=60)
        answers = [client.post("/predict", json=sent[i % 300]) for i in range(400)]
        acknowledged = {one.json()["request_id"] for one in answers if one.status_code == 200}
        refused = [one for one in answers if one.status_code != 200]
        assert {one.status_code for one in refused} == {503}
        assert {one.headers["retry-after"] for one in refused} == {"1"}
        assert "cannot be written" in refused[0].json()["detail"]
        with log.connect() as connection:
            assert set(connection.execute(sa.select(PREDICTIONS.c.request_id)).scalars()) == acknowledged
        give_space()
        assert client.post("/predict", json=sent[0]).status_code == 200


def test_a_worker_is_small_and_brings_no_training_libraries(
    trained: Pipeline, tmp_path: Path, sent: list[dict[str, Any]]
) -> None:
    made = package(tmp_path, 1, trained)
    route(tmp_path, 1, made, Package(2, made.files), 0.5)
    with plane(tmp_path) as running:
        for _ in range(20):
            running.client.post("/predict/batch", json={"flights": sent}).raise_for_status()
        process = psutil.Process(running.workers[0].pid)
        assert process.memory_info().rss < 250 * 2**20
        loaded = " ".join(found.path for found in process.memory_maps())
    assert "onnxruntime" in loaded
    assert not [name for name in ("sklearn", "scipy", "matplotlib") if f"/{name}/" in loaded]
