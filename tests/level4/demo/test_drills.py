"""Under load, on the platform as people run it: a rollback, a worker that is killed, a registry that is lost."""

import math
import time
from typing import Any

import pandas as pd
import pytest

from level2_devops.load_generator import CLIENTS, traffic
from level4_deployment.control.client import PlatformClient
from level4_deployment.control.platform_process import RunningPlatform
from level4_deployment.demo.drills import kill_a_worker_under_load, roll_back_under_load, switch_times
from level4_deployment.replay_client import as_requests
from level4_deployment.serving.reloader import wait_for_workers
from tests.level4.registries import DOWN, Registry
from tests.support import eventually


def test_a_response_from_before_the_command_does_not_count_as_restored() -> None:
    rows: list[list[Any]] = [[98.0, 5, 200, 1], [99.0, 5, 200, 2], [100.5, 5, 200, 2], [100.6, 5, 0, "cut"]]
    first, last = switch_times(rows, 100.0, 1)
    assert (math.isnan(first), last) == (True, 0.5)
    assert switch_times([*rows, [101.0, 5, 200, 1]], 100.0, 1) == (1.0, 0.5)


@pytest.fixture
def requested(flights: pd.DataFrame) -> pd.DataFrame:
    return flights.sample(300, random_state=8)


@pytest.mark.slow
def test_a_rollback_loses_no_request_and_soon_only_the_restored_version_answers(
    idle: RunningPlatform, requested: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    with PlatformClient.at(idle.home, "operator") as operator:
        drill = roll_back_under_load(operator, idle.service, requested, 2, idle.home)
    assert (drill.version, drill.failed) == (1, 0)
    assert drill.requests > 50
    assert 0 < drill.first_restored < 10
    assert drill.last_replaced < 10, "seconds after the command"
    assert "Roll back under load ..." in capsys.readouterr().out, "a dot a second, where there is no terminal"


@pytest.mark.slow
def test_a_killed_worker_loses_only_what_it_was_working_on_and_is_replaced(
    idle: RunningPlatform, requested: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    drill = kill_a_worker_under_load(idle.service, requested, idle.home)
    assert drill.requests > 50
    assert drill.lost <= CLIENTS
    assert drill.replaced_after > 0.1, "it is another process, which had to start"
    assert "Kill a worker under load .." in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("why", ["locked", "gone"])
def test_a_registry_that_is_lost_while_the_platform_runs_fails_no_request(
    idle: RunningPlatform, registered: Registry, requested: pd.DataFrame, why: str
) -> None:
    database = registered.settings.level("level3") / "mlflow.db"
    with PlatformClient.at(idle.home, "operator") as operator, traffic(idle.service, as_requests(requested)) as load:

        def degraded() -> str:
            return str(operator.get("/status")["degraded"])

        with DOWN[why](database):
            if why == "locked":  # a file that is taken away stays open, and can still be read
                assert "version 1 keeps serving" in eventually(degraded, 30)
            time.sleep(2.0)  # of load without a registry
        eventually(lambda: not degraded(), 30, shows=degraded)
        operator.post("/versions/2/promote", reason="the registry is back")
        wait_for_workers(idle.home)
        time.sleep(1.0)  # of load on the new version
        operator.post("/rollback", reason="the test is over")
    assert load.failed == []
    assert len(load.rows) > 50
    assert {row[3] for row in load.rows} == {1, 2}
