"""Trainings that start by the clock and with a new month of data, and the server that commands share."""

import os
import subprocess
import sys

import pytest
from mlflow.entities.model_registry import ModelVersion
from prefect.utilities.callables import cloudpickle_wrapped_call

from level3_training_pipeline.orchestration.prefect_server import prefect_server, running_server
from level3_training_pipeline.orchestration.schedule import emit
from level3_training_pipeline.pipeline.flow import training
from shared.errors import UserError
from shared.settings import Settings
from shared.waiting import answers
from tests.level3.world import World
from tests.support import eventually, interrupt


def test_a_flow_can_be_handed_to_the_process_that_runs_it() -> None:
    """Prefect pickles it, with all that the code of the flow and of its steps names; a console cannot be pickled."""
    cloudpickle_wrapped_call(training)


def test_without_a_schedule_the_event_is_refused(settings: Settings) -> None:
    with pytest.raises(UserError, match="make schedule"):
        emit("2013-04", settings)


def test_a_server_that_another_command_has_up_does_not_listen(world: World) -> None:
    world.server.wait()
    with pytest.raises(UserError, match="no schedule listens"):
        emit("2013-04", world.settings)


@pytest.mark.parametrize("month", ["April", "2013-13", "NaT", "", "2013-04-15"])
def test_what_is_not_a_month_is_refused(month: str, settings: Settings) -> None:
    with pytest.raises(UserError, match=f"MONTH='{month}' is not a month. Remedy: write it as YYYY-MM"):
        emit(month, settings)


@pytest.mark.parametrize("month", ["2013-01", "2012-12", "2014-01", "2014-04"])
def test_a_month_after_which_no_training_is_possible_is_refused(month: str, settings: Settings) -> None:
    with pytest.raises(UserError, match=f"MONTH={month} is none that a training can follow.*Remedy: a month from"):
        emit(month, settings)


def test_commands_share_a_server_and_the_last_one_stops_it(world: World) -> None:
    with prefect_server(world.settings) as joined:
        assert joined == world.server
    assert answers(world.server.health)
    assert running_server(world.settings) == world.server


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="SIGINT")
def test_the_clock_and_a_new_month_start_trainings(world: World, trained: int) -> None:
    def caused_by(cause: str) -> list[ModelVersion]:
        return list(world.client.search_model_versions(f"tags.cause = '{cause}'"))

    command = [sys.executable, "-m", "level3_training_pipeline", "schedule", "--every", "45", "--trials", "1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        eventually(lambda: caused_by("schedule"), 600)
        arrives = [sys.executable, "-m", "level3_training_pipeline", "emit-data-event", "2013-03"]
        done = subprocess.run(arrives, capture_output=True, text=True, timeout=180, check=False)
        assert "The pipeline trains as of 2013-04-01" in done.stdout, done.stderr
        assert "Still processing" not in done.stdout + done.stderr
        eventually(lambda: caused_by("data of 2013-03 arrived"), 600)
    finally:
        interrupt(process)
    assert caused_by("data of 2013-03 arrived")[0].tags["today"] == "2013-04-01"
    with pytest.raises(UserError, match="no schedule listens"):  # though the server is up, and knows the pipeline
        emit("2013-03", world.settings)
