"""A worker follows the routes; a version that cannot be loaded, or a status that cannot be written, changes nothing."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sklearn.pipeline import Pipeline

from level2_devops.model import fit
from level4_deployment.serving.metrics import Metrics
from level4_deployment.serving.package import GRAPH
from level4_deployment.serving.reloader import FOLLOWED_WITHIN, POLL_EVERY, ModelReloader, wait_for_workers, workers
from level4_deployment.serving.routes import MODELS, ROUTES, WORKERS
from level4_deployment.serving.worker import COUNTS, forget_workers
from shared.files import write_json
from shared.processes.process_identity import this_process
from tests.level4.graphs import table_of_carriers
from tests.level4.plane import package, plane, route
from tests.support import eventually


@pytest.mark.parametrize("role", ["champion", pytest.param("challenger", marks=pytest.mark.slow)])
def test_an_altered_file_is_refused_and_the_last_good_version_serves(
    trained: Pipeline, known: pd.DataFrame, tmp_path: Path, sent: list[dict[str, Any]], role: str
) -> None:
    good, bad = package(tmp_path, 1, trained), package(tmp_path, 2, fit(known.iloc[::30], max_iter=5))
    file = tmp_path / MODELS / bad.digest / GRAPH
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    route(tmp_path, 1, good)
    with plane(tmp_path) as running:
        route(tmp_path, 2, bad) if role == "champion" else route(tmp_path, 2, good, bad, 0.5)
        eventually(lambda: running.ready()["refused"])
        status = running.ready()
        assert f"{GRAPH} has SHA-256" in status["refused"]
        assert (status["champion"]["version"], status["challenger"]) == (1, None)
        assert {running.ask(one)["version"] for one in sent[:20]} == {1}
        assert "routes_refused" in running.client.get("/metrics").text
        file.write_bytes(whole)
        running.wait(2)
        eventually(lambda: not running.ready()["refused"])
        served = running.ready()[role]
        assert served["version"] == 2, "once it is whole, it serves"


@pytest.mark.anyio
async def test_an_error_is_logged_and_shown_and_the_worker_goes_on_following(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    one, two = (table_of_carriers(tmp_path, number, {"B6": 0.1}) for number in (1, 2))
    route(tmp_path, 1, one)
    reloader = ModelReloader(tmp_path, Metrics())
    await reloader.poll()
    polling = asyncio.create_task(reloader.poll_forever())
    try:
        with monkeypatch.context() as broken:
            broken.setattr(reloader, "_switch", lambda _: 1 / 0)
            route(tmp_path, 2, two)
            await asyncio.sleep(5 * POLL_EVERY)
            assert "ZeroDivisionError" in reloader.status()["refused"]
            assert b"routes_refused 1.0" in reloader.metrics.text()
            assert reloader.serving().generation == 1, "the last good version answers"
        await asyncio.sleep(5 * POLL_EVERY)
        assert reloader.serving().generation == 2
        assert reloader.status()["refused"] == ""
        assert b"routes_refused 0.0" in reloader.metrics.text()
        (tmp_path / WORKERS).rename(tmp_path / "away")
        (tmp_path / WORKERS).write_text("as good as a full disk")
        route(tmp_path, 3, one)
        await asyncio.sleep(5 * POLL_EVERY)
        assert reloader.serving().generation == 3, "although its status cannot be published"
        (tmp_path / WORKERS).unlink()
        (tmp_path / "away").rename(tmp_path / WORKERS)
        await asyncio.sleep(5 * POLL_EVERY)
        assert (workers(tmp_path)[0]["generation"], workers(tmp_path)[0]["refused"]) == (3, "")
    finally:
        polling.cancel()
    assert [record.message for record in caplog.records].count("cannot follow the routes") == 2, "once for each error"


def test_the_file_of_a_killed_worker_whose_number_came_back_is_not_waited_for(tmp_path: Path) -> None:
    route(tmp_path, 2, table_of_carriers(tmp_path, 1, {"B6": 0.1}))
    pid, born = this_process().split(":")
    (tmp_path / WORKERS).mkdir()
    killed = {"pid": int(pid), "process": f"{pid}:{float(born) - 3600}", "generation": 1, "refused": ""}
    write_json(tmp_path / WORKERS / f"{pid}.json", killed)
    begun = time.monotonic()
    wait_for_workers(tmp_path)
    assert time.monotonic() - begun < FOLLOWED_WITHIN / 2
    assert workers(tmp_path) == []
    assert not list((tmp_path / WORKERS).iterdir())


def test_of_a_killed_platforms_workers_the_gauges_go_and_the_counters_stay(tmp_path: Path) -> None:
    counts = tmp_path / COUNTS
    counts.mkdir()
    for name in ("gauge_liveall_4242.db", "counter_4242.db", "histogram_4242.db"):
        (counts / name).write_bytes(b"")
    forget_workers(tmp_path)
    assert sorted(file.name for file in counts.iterdir()) == ["counter_4242.db", "histogram_4242.db"]


GARBLED = [b"", b'{"generation": 1, "cha', b"\x80\x04\xff", b"[]", b'{"generation": 9}']


def test_garbled_files_of_a_running_worker_change_nothing_for_its_callers(
    tmp_path: Path, sent: list[dict[str, Any]]
) -> None:
    """Routes: it keeps what it serves, and reports them. Its status, and the metrics that workers share: made anew."""
    models = [table_of_carriers(tmp_path, number, {"B6": 0.1}) for number in range(len(GARBLED) + 1)]
    route(tmp_path, 1, models[0])
    with plane(tmp_path) as running:
        (worker,) = running.workers
        for version, content in enumerate(GARBLED):
            assert running.ask(sent[0])["version"] == version
            (tmp_path / WORKERS / f"{worker.pid}.json").write_bytes(content)
            counts = (tmp_path / COUNTS / f"counter_{worker.pid}.db").read_bytes()
            ended = tmp_path / COUNTS / "counter_1.db"  # of a worker that has ended
            ended.write_bytes(counts.replace(b"{", b"\xff"))
            running.wait(version + 1)
            assert [one["pid"] for one in running.ready()["workers"]] == [worker.pid]
            assert f'predictions_total{{version="{version}"}} 1.0' in running.client.get("/metrics").text
            assert not ended.exists()
            (tmp_path / ROUTES).write_bytes(content)
            eventually(lambda: f"{tmp_path / ROUTES} is garbled" in running.ready()["refused"])
            assert running.ask(sent[0])["version"] == version
            route(tmp_path, version + 2, models[version + 1])
            running.wait(version + 2)
