"""A flow that is run from a plain program is on record at the server, however it ends."""

import os
import signal
import subprocess
import sys
from typing import Any

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.sorting import FlowRunSort
from prefect.settings import PREFECT_API_URL, temporary_settings

from level3_training_pipeline.orchestration.run_flow import close_crashed_runs, run_flow
from tests.level3.world import World

ALL: Any = {"sort": FlowRunSort.START_TIME_DESC, "limit": 200}
KILLED = """
import os, signal, sys
from prefect import flow
from level3_training_pipeline.orchestration.prefect_server import PrefectServer
from level3_training_pipeline.orchestration.run_flow import run_flow

@flow(name="killed")
def killed():
    os.kill(os.getpid(), signal.SIGKILL)

run_flow(PrefectServer(*sys.argv[1:]), killed)
"""


@flow(name="next")
def next_flow() -> None:
    """A run that follows; while it runs, it is not taken for a crashed one."""
    close_crashed_runs()


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_a_run_that_was_killed_is_crashed_once_the_next_one_begins(world: World) -> None:
    server = world.server
    server.wait()
    words = [sys.executable, "-c", KILLED, server.process, server.address, server.log]
    assert subprocess.run(words, check=False).returncode == -signal.SIGKILL
    with temporary_settings({PREFECT_API_URL: server.api}), get_client(sync_client=True) as prefect:
        (before,) = [run for run in prefect.read_flow_runs(**ALL) if run.state_name == "Running"]
        run_flow(server, next_flow)
        assert prefect.read_flow_run(before.id).state_name == "Crashed"
        assert not [run for run in prefect.read_flow_runs(**ALL) if run.state_name == "Running"]
        assert "Completed" in {run.state_name for run in prefect.read_flow_runs(**ALL)}
