"""Under load, on the platform as people run it: a rollback, a worker that is killed, a registry that is lost."""

import time

import pandas as pd
import pytest

from level2_devops.load_generator import traffic
from level4_deployment.control.client import PlatformClient
from level4_deployment.control.platform_process import RunningPlatform
from level4_deployment.demo.drills import CLIENTS, kill_a_worker_under_load, roll_back_under_load
from level4_deployment.replay_client import as_requests
from level4_deployment.serving.reloader import wait_for_workers
from tests.level4.conftest import Registry
from tests.level4.registry_faults import DOWN

pytestmark = pytest.mark.slow


@pytest.fixture
def asked(flights: pd.DataFrame) -> pd.DataFrame:
    return flights.sample(300, random_state=8)


def test_a_rollback_through_the_api_loses_no_request_and_soon_nobody_gets_the_old_version(
    idle: RunningPlatform,
    asked: pd.DataFrame,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with PlatformClient.at(idle.home, "operator") as operator:
        drill = roll_back_under_load(operator, idle.service, asked, 2, idle.home)
    assert (drill.version, drill.failed) == (1, 0)
    assert drill.requests > 50
    assert 0 < drill.first < 10
    assert drill.last < 10, "the last answer of the old version, in seconds after the command"
    assert "Roll back under load ..." in capsys.readouterr().out, "a dot a second, where there is no terminal"


def test_a_killed_worker_takes_with_it_what_was_on_its_way_and_another_serves(
    idle: RunningPlatform,
    asked: pd.DataFrame,
    capsys: pytest.CaptureFixture[str],
) -> None:
    drill = kill_a_worker_under_load(idle.service, asked)
    assert drill.requests > 50
    assert drill.cut <= CLIENTS
    assert drill.replaced > 0.1, "it is another process, which had to start"
    assert "Kill a worker under load .." in capsys.readouterr().out


@pytest.mark.parametrize("why", DOWN)
def test_a_registry_that_is_lost_while_the_platform_runs_fails_no_request(
    idle: RunningPlatform,
    registered: Registry,
    asked: pd.DataFrame,
    why: str,
) -> None:
    database = registered.settings.level("level3") / "mlflow.db"
    with (
        PlatformClient.at(idle.home, "operator") as operator,
        traffic(idle.service, as_requests(asked)) as seen,
    ):
        with DOWN[why](database):
            if why == "locked":  # a file that is taken away stays open, and is read on
                assert "version 1 serves on" in wait_for(operator, trouble=True)
            time.sleep(2.0)
        wait_for(operator, trouble=False)
        operator.post("/versions/2/promote", reason="it is followed again")
        wait_for_workers(idle.home)
        time.sleep(1.0)
        operator.post("/rollback", reason="the test is over")
    assert seen.failed == []
    assert len(seen.rows) > 50
    assert {row[3] for row in seen.rows} == {1, 2}


def wait_for(operator: PlatformClient, *, trouble: bool) -> str:
    """What the platform says is wrong, once it says so, or nothing, once it is over."""
    until = time.monotonic() + 30
    while bool(told := operator.get("/status")["trouble"]) != trouble:
        assert time.monotonic() < until, told
        time.sleep(0.1)
    return str(told)
