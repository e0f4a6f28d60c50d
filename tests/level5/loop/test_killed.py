"""The loop continues where it was killed, decides the same, and rolls a bad champion back by itself."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest
import sqlalchemy as sa

from level3_training_pipeline.library_setup import set_up_libraries
from level3_training_pipeline.orchestration.prefect_server import prefect_server, running_server
from level3_training_pipeline.tracking import mlflow_runs, registry
from level4_deployment.control.client import PlatformClient, is_running
from level4_deployment.delivery.packaging import publish
from level4_deployment.demo.candidates import START, register_by_hand
from level4_deployment.experiment.labels import read_watermark
from level5_monitoring import config
from level5_monitoring.live_year.year_record import read_requests
from level5_monitoring.loop import loop_store
from level5_monitoring.tables import open_log
from shared.settings import PROJECT, Settings, read_settings
from tests.level5 import killed
from tests.support import environment, eventually

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name == "nt", reason="process groups")]
TODAY, UNTIL = "2013-03-01", "2013-03-08"
BUDGET = 10_000  # retrainings: one is due each day
DAY = 86_400.0  # seconds


def start(state: Path, *command: str, **more: str) -> "subprocess.Popen[bytes]":
    """Start a process with everything it starts in a process group of its own; more: of the environment."""
    with (state / "play.log").open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=PROJECT,
            env=os.environ
            | {"MLOPS_STATE": str(state), "MLOPS_WORKSPACE": "level5", "TODAY": TODAY, "PYTHONUNBUFFERED": "1"}
            | more,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def play(state: Path, until: str, budget: int) -> None:
    process = start(state, "tests.level5.play", until, str(budget))
    assert process.wait(timeout=400) == 0, (state / "play.log").read_text()[-3000:]


def wait_for(what: Callable[[], object], state: Path, process: "subprocess.Popen[bytes]") -> None:
    """Wait while the process runs; fails with its log."""

    def done() -> object:
        assert process.poll() is None, (state / "play.log").read_text()[-3000:]
        return what()

    eventually(done, within=300, shows=lambda: (state / "play.log").read_text()[-3000:])


def log_of(state: Path) -> AbstractContextManager[sa.Engine]:
    return open_log(f"sqlite:///{state / 'level5' / 'level4' / 'log.db'}")


def rows(state: Path, query: str) -> list[tuple[Any, ...]]:
    with log_of(state) as log, log.connect() as connection:
        return [tuple(row) for row in connection.execute(sa.text(query))]


def decisions(state: Path) -> list[tuple[Any, ...]]:
    with log_of(state) as log:
        made = loop_store.decisions(log)
    return [(one["day"], one["kind"], one["cause"], one["evidence"], one["result"].get("version")) for one in made]


def sent(state: Path) -> list[tuple[str, str]]:
    lines = (state / "level5" / "alerts.jsonl").read_text().splitlines()
    return [(alert["day"], alert["title"]) for alert in map(json.loads, lines)]


SEEN = (  # what users got, and what was done on the platform
    "SELECT count(DISTINCT flight_id) FROM predictions",
    "SELECT count(*), max(watermark) FROM labels, watermarks",
    "SELECT experiment, state FROM experiments",
    "SELECT actor, action, old_value, new_value FROM audit WHERE status = 'done' ORDER BY number",
)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The state after an undisturbed week, while its Prefect server runs."""
    state = tmp_path_factory.mktemp("whole")
    settings = Settings(date.fromisoformat(TODAY), None, state, "level5")
    with environment():
        set_up_libraries(settings)
        with prefect_server(settings):
            play(state, UNTIL, BUDGET)
            yield state


def test_killed_at_one_point_after_another_it_continues_and_ends_the_same(uninterrupted: Path, tmp_path: Path) -> None:
    file = tmp_path / "killed.txt"
    points = {point.name for point in (*killed.PLAYER, *killed.PLATFORM)}
    for deaths in range(1, len(points) + 1):
        process = start(tmp_path, "tests.level5.play", UNTIL, str(BUDGET), KILLED=str(file))
        assert process.wait(timeout=400) == -signal.SIGKILL, (tmp_path / "play.log").read_text()[-3000:]
        assert len(killed.met(file)) == deaths
    assert set(killed.met(file)) == points
    play(tmp_path, UNTIL, BUDGET)
    assert {"retrain", "promote"} <= {kind for _, kind, *_ in decisions(tmp_path)}
    assert decisions(tmp_path) == decisions(uninterrupted)
    assert sent(tmp_path) == sent(uninterrupted)
    for query in SEEN:
        assert rows(tmp_path, query) == rows(uninterrupted, query)
    all_made, counted = (read_requests(one / "level5") for one in (uninterrupted, tmp_path))
    assert all_made
    assert counted
    assert all_made.made >= counted.made > counted.failed == all_made.failed == 0


def test_a_bad_model_that_an_operator_promoted_is_rolled_back(
    uninterrupted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_STATE", str(uninterrupted))
    monkeypatch.setenv("MLOPS_WORKSPACE", "level5")
    settings = read_settings()
    number = made_by_hand(settings)
    champion = rows(uninterrupted, "SELECT new_value FROM audit WHERE action = 'promote' ORDER BY number DESC")[0][0]
    options = "--home", str(config.platform(settings)), "--approval"
    process = start(uninterrupted, "level4_deployment", "platform", *options)
    try:
        wait_for(lambda: is_running(config.platform(settings)), uninterrupted, process)
        with PlatformClient.at(config.platform(settings), "operator") as operator:
            operator.post(f"/versions/{number}/promote", reason="it looked fine on my machine")
    finally:
        process.terminate()
        process.wait(timeout=30)
    play(uninterrupted, "2013-03-14", 0)
    rolled_back = [one for one in decisions(uninterrupted) if one[1] == "roll_back"]
    assert [one[2] for one in rolled_back] == ["regression_vs_previous"]
    assert rolled_back[0][3][0]["version"] == number
    client = mlflow_runs.open_tracking(settings)
    now = registry.by_alias(client, registry.CHAMPION)
    assert now is not None
    assert str(now.number) == champion
    last = rows(uninterrupted, "SELECT actor, action, old_value FROM audit WHERE action = 'roll_back'")
    assert last == [("loop", "roll_back", str(number))]


def test_monitor_starts_the_platform_and_runs_by_a_closed_day_and_by_the_clock(uninterrupted: Path) -> None:
    platform = uninterrupted / "level5" / "level4"
    with log_of(uninterrupted) as log:
        watermark = read_watermark(log)
    assert watermark
    before = decisions(uninterrupted)
    monitor = start(uninterrupted, "level5_monitoring", "monitor", "--every", "30")

    def by_the_clock() -> set[bool]:
        """Whether the runs that are over were started by the clock."""
        return {one["auto_scheduled"] for one in turns(uninterrupted)}

    try:
        wait_for(lambda: by_the_clock() == {True}, uninterrupted, monitor)  # before a day is closed
        with PlatformClient.at(platform, "feed") as feed:
            feed.post("/labels", labels=[], watermark=watermark + DAY)
        wait_for(lambda: by_the_clock() == {True, False}, uninterrupted, monitor)
        causes = {one["name"].split()[-1] for one in turns(uninterrupted)}
        assert causes == {"closed", "clock"}  # turns: 2013-05-06 is closed, turns: by the clock
        wait_for(lambda: len(decisions(uninterrupted)) > len(before), uninterrupted, monitor)
    finally:
        monitor.send_signal(signal.SIGINT)
        monitor.wait(timeout=60)
    closed = str((pd.Timestamp(before[-1][0]) + pd.Timedelta(days=1)).date())
    assert decisions(uninterrupted)[len(before)][0] == closed
    assert not is_running(platform), "it ends the platform that it started"


def turns(state: Path) -> list[dict[str, Any]]:
    """The runs that Prefect has completed; auto_scheduled: by the clock."""
    server = running_server(Settings(date.fromisoformat(TODAY), None, state, "level5"))
    assert server
    wanted = {"flows": {"name": {"any_": ["turns"]}}, "flow_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}}
    return list(httpx.post(f"{server.api}/flow_runs/filter", json=wanted, timeout=20).json())


def made_by_hand(settings: Settings) -> int:
    """A model trained on inverted labels, packaged past all gates."""
    client = mlflow_runs.open_tracking(settings)
    version = register_by_hand(client, settings, lambda table: table.assign(late=1 - table["late"]), START, "poisoned")
    publish(client, version)
    return version.number
