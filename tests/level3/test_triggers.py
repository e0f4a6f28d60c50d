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

from level3_training_pipeline.orchestration import schedule
from level3_training_pipeline.orchestration.emit_data_event import arrive
from level3_training_pipeline.orchestration.prefect_server import prefect_server, running_server
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


def test_a_server_that_another_command_has_up_does_not_listen(world: World) -> None:
    world.server.wait()
    with pytest.raises(UserError, match="nothing listens"):
        arrive("2013-04", world.settings)


@pytest.mark.parametrize("wrong", [["--trials", "0"], ["--trials", "many"], ["--every", "0"], ["--every", "nan"]])
def test_a_schedule_that_cannot_be_is_refused(
    wrong: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["schedule", *wrong])
    with pytest.raises(SystemExit):
        schedule.main()
    assert f"'{wrong[1]}' is no" in capsys.readouterr().err


@pytest.mark.parametrize("month", ["April", "2013-13", "NaT", "", "2013-04-15"])
def test_what_is_no_month_is_told(month: str, settings: Settings) -> None:
    with pytest.raises(UserError, match=f"MONTH='{month}' is no month; write it as YYYY-MM"):
        arrive(month, settings)


@pytest.mark.parametrize(
    ("month", "after"), [("2013-01", "2013-02-01"), ("2012-12", "2013-01-01"), ("2014-04", "2014-05")]
)
def test_a_month_that_nothing_can_be_trained_after_is_told_with_the_reason(
    month: str, after: str, settings: Settings
) -> None:
    with pytest.raises(UserError, match=f"MONTH={month} is followed by {after}.*two months are needed"):
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

    command = [
        sys.executable,
        "-m",
        "level3_training_pipeline.orchestration.schedule",
        "--every",
        "45",
        "--trials",
        "1",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        wait_for(lambda: caused_by("schedule"), 300)
        arrive("2013-03", world.settings)
        wait_for(lambda: caused_by("data of 2013-03 arrived"), 300)
    finally:
        end(process)
    assert caused_by("data of 2013-03 arrived")[0].tags["today"] == "2013-04-01"
    with pytest.raises(UserError, match="nothing listens"):  # though the server is up, and knows the pipeline
        arrive("2013-03", world.settings)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="SIGINT")
def test_ui_ends_at_once_while_it_starts(world: World) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "level3_training_pipeline.ui"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout
    told = ""
    while "Start the pages" not in told:
        told += process.stdout.read(1)
    begun = time.monotonic()
    end(process)
    assert time.monotonic() - begun < 20
    assert process.returncode == 0
    assert "http" not in told


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
