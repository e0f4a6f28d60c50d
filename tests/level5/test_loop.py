"""The loop goes on where it was killed, decides the same, and takes a bad live model back by itself."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from level3_training_pipeline import registry, tracking
from level3_training_pipeline.prefect_server import prefect_server
from level3_training_pipeline.quiet import set_up_libraries
from level4_deployment import log as prediction_log
from level4_deployment.candidates import START, register_by_hand
from level4_deployment.client import PlatformClient, runs
from level4_deployment.outcomes import read_watermark
from level4_deployment.publish import publish
from level5_monitoring import home, record
from shared.settings import PROJECT, Settings, read_settings

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name == "nt", reason="process groups")]
TODAY, UNTIL = "2013-03-01", "2013-03-09"
DAY = 86_400.0  # seconds


def start(state: Path, *command: str) -> "subprocess.Popen[bytes]":
    """Play, with all that it starts in a process group of its own."""
    with (state / "play.log").open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=PROJECT,
            env=os.environ
            | {"MLOPS_STATE": str(state), "MLOPS_WITHIN": "level5", "TODAY": TODAY, "PYTHONUNBUFFERED": "1"},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def play(state: Path, until: str) -> None:
    process = start(state, "tests.level5.play", until)
    assert process.wait(timeout=400) == 0, (state / "play.log").read_text()[-3000:]


def wait_for(what: Callable[[], object], state: Path, process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + 300
    while not what():
        assert process.poll() is None, (state / "play.log").read_text()[-3000:]
        assert time.monotonic() < until, "waited too long"
        time.sleep(0.05)


def rows(state: Path, query: str) -> list[Any]:
    """What the log holds; nothing where it is not there yet."""
    try:
        with sqlite3.connect(f"file:{state / 'level5' / 'level4' / 'log.db'}?mode=ro", uri=True) as log:
            return log.execute(query).fetchall()
    except sqlite3.OperationalError:
        return []


def decisions(state: Path) -> list[tuple[Any, ...]]:
    log = prediction_log.open_log(f"sqlite:///{state / 'level5' / 'level4' / 'log.db'}")
    return [
        (one["day"], one["kind"], one["cause"], one["evidence"], one["result"].get("version"))
        for one in record.decisions(log)
    ]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The state after eight days that nothing has disturbed, and the Prefect server of all that is played on it."""
    before, state = dict(os.environ), tmp_path_factory.mktemp("whole")
    settings = Settings(date.fromisoformat(TODAY), None, state, within="level5")
    set_up_libraries(settings)
    with prefect_server(settings):
        play(state, UNTIL)
        yield state
    os.environ.clear()
    os.environ.update(before)


def test_killed_while_it_retrains_it_goes_on_and_decides_the_same(uninterrupted: Path, tmp_path: Path) -> None:
    process = start(tmp_path, "tests.level5.play", UNTIL)
    being_trained = "SELECT day FROM decisions WHERE kind = 'retrain' AND state = 'open'"
    wait_for(lambda: rows(tmp_path, being_trained), tmp_path, process)
    time.sleep(2)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    (interrupted,) = rows(tmp_path, being_trained)
    play(tmp_path, UNTIL)
    assert interrupted[0] in {day for day, kind, *_ in decisions(tmp_path) if kind == "retrain"}
    assert decisions(tmp_path) == decisions(uninterrupted)
    answered = "SELECT count(DISTINCT flight_id) FROM predictions"
    assert rows(tmp_path, answered) == rows(uninterrupted, answered)
    trials = "SELECT challenger FROM experiments"
    assert rows(tmp_path, trials) == rows(uninterrupted, trials), "one experiment, although it was submitted twice"


def test_a_bad_model_that_somebody_promoted_is_taken_back_by_itself(
    uninterrupted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_STATE", str(uninterrupted))
    monkeypatch.setenv("MLOPS_WITHIN", "level5")
    settings = read_settings()
    number = made_by_hand(settings)
    champion = rows(uninterrupted, "SELECT after FROM audit WHERE act = 'promote' ORDER BY number DESC")[0][0]
    process = start(uninterrupted, "level4_deployment.serve", "--home", str(home.platform(settings)), "--approval")
    try:
        wait_for(lambda: runs(home.platform(settings)), uninterrupted, process)
        with PlatformClient.at(home.platform(settings), "operator") as operator:
            operator.post(f"/versions/{number}/promote", reason="it looked fine on my machine")
    finally:
        process.terminate()
        process.wait(timeout=30)
    play(uninterrupted, "2013-03-15")
    taken = [one for one in decisions(uninterrupted) if one[1] == "roll back"]
    assert [one[2] for one in taken] == ["watch"]
    assert taken[0][3][0]["subject"] == f"version {number}"
    client = tracking.open_tracking(settings)
    now = registry.by_alias(client, registry.CHAMPION)
    assert now is not None
    assert str(now.number) == champion
    last = rows(uninterrupted, "SELECT who, act, before FROM audit WHERE act = 'roll back'")
    assert last == [("loop", "roll back", str(number))]


def test_a_day_that_is_closed_starts_a_turn(uninterrupted: Path) -> None:
    """By its event: the clock would not strike before half past midnight."""
    database = uninterrupted / "level5" / "level4" / "log.db"
    watermark = read_watermark(prediction_log.open_log(f"sqlite:///{database}"))
    assert watermark
    before = decisions(uninterrupted)
    platform = start(uninterrupted, "level4_deployment.serve", "--home", str(database.parent), "--approval")
    watch = start(uninterrupted, "level5_monitoring.watch")
    try:
        wait_for(lambda: runs(database.parent), uninterrupted, platform)
        with PlatformClient.at(database.parent, "feed") as feed:
            feed.post("/outcomes", outcomes=[], watermark=watermark + DAY)
        wait_for(lambda: len(decisions(uninterrupted)) > len(before), uninterrupted, watch)
    finally:
        for process in (watch, platform):
            process.send_signal(signal.SIGINT)
            process.wait(timeout=60)
    closed = str((pd.Timestamp(before[-1][0]) + pd.Timedelta(days=1)).date())
    assert decisions(uninterrupted)[len(before)][0] == closed


def made_by_hand(settings: Settings) -> int:
    """A model of outcomes that say the opposite, packaged past all gates."""
    client = tracking.open_tracking(settings)
    version = register_by_hand(client, settings, lambda table: table.assign(late=1 - table["late"]), START, "poisoned")
    publish(client, version)
    return version.number
