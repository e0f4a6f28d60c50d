"""The clock, a new month of data, and the commands around the server."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable

import pytest
from mlflow.entities.model_registry import ModelVersion

from level3_training_pipeline.arrive import arrive
from level3_training_pipeline.prefect_server import prefect_server, running_server
from shared.errors import UserError
from shared.settings import Settings
from tests.level3.conftest import World


def wait_for(what: Callable[[], object], seconds: float) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, "waited too long"
        time.sleep(0.5)


def test_a_month_that_nothing_listens_to_is_told(settings: Settings) -> None:
    with pytest.raises(UserError, match="make schedule"):
        arrive("2013-04", settings)


@pytest.mark.parametrize("month", ["April", "2013-13", "2014-04"])
def test_a_wrong_month_is_told(month: str, settings: Settings) -> None:
    with pytest.raises(UserError, match="MONTH"):
        arrive(month, settings)


def test_commands_share_a_server_and_the_last_one_stops_it(world: World) -> None:
    with prefect_server(world.settings) as joined:
        assert joined == world.server
    assert world.server.healthy()
    assert running_server(world.settings) == world.server


def end(process: "subprocess.Popen[str]") -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.communicate(timeout=60)
    finally:
        process.kill()


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="SIGINT")
def test_the_clock_and_a_new_month_start_trainings(world: World, trained: int) -> None:
    def caused_by(cause: str) -> list[ModelVersion]:
        return list(world.client.search_model_versions(f"tags.cause = '{cause}'"))

    command = [sys.executable, "-m", "level3_training_pipeline.schedule", "--every", "15", "--trials", "1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        wait_for(lambda: caused_by("schedule"), 300)
        arrive("2013-03", world.settings)
        wait_for(lambda: caused_by("data of 2013-03 arrived"), 300)
    finally:
        end(process)
    assert caused_by("data of 2013-03 arrived")[0].tags["today"] == "2013-04-01"


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="SIGINT")
def test_ui_serves_both_pages_and_ends_what_it_started(world: World, trained: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "level3_training_pipeline.ui"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout
    told = ""
    for line in process.stdout:
        told += line
        if "Ctrl-C" in line:
            break
    addresses = re.findall(r"http://127\.0\.0\.1:\d+", told)
    assert len(addresses) == 2, told
    for address in addresses:
        with urllib.request.urlopen(address, timeout=20) as answer:
            assert answer.status == 200
            assert b"<html" in answer.read().lower()
    end(process)
    assert process.returncode == 0
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(addresses[0], timeout=2)
    assert world.server.healthy()
