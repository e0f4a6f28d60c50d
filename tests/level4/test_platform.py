"""The platform as people run it: a control plane and two workers, real flights over HTTP, kills and a registry down."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pandas as pd
import psutil
import pytest
import sqlalchemy as sa

from level3_training_pipeline import registry
from level4_deployment.client import PlatformClient, RefusedError
from level4_deployment.log import PREDICTIONS, open_log, url_of
from level4_deployment.plan import Plan
from level4_deployment.process import RunningPlatform, running_platform
from level4_deployment.routes import Package
from level4_deployment.stream import Played, as_requests, ask, play
from shared.errors import UserError
from shared.replay import replay
from tests.level4 import graphs
from tests.level4.conftest import Registry

pytestmark = pytest.mark.slow
START = pd.Timestamp("2013-04-01", tz="America/New_York").tz_convert("UTC")


@pytest.fixture(scope="module")
def running(registered: Registry, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPlatform]:
    """Version 1 serves."""
    registered.client.set_registered_model_alias("flight-delays", "champion", "1")
    with running_platform(tmp_path_factory.mktemp("platform")) as running:
        running.wait_for_control()
        running.wait_until_ready()
        yield running


@pytest.fixture
def platform(running: RunningPlatform) -> Iterator[RunningPlatform]:
    """It, with no experiment under way, before and after."""
    yield running
    with PlatformClient.at(running.home, "operator") as operator:
        operator.post("/experiment/stop", reason="the test is over")
        assert operator.get("/status")["routes"]["champion"]["version"] == 1


def test_days_of_real_flights_lead_through_shadow_to_a_live_split_and_every_answer_is_on_the_log(
    platform: RunningPlatform, plan: Plan, flights: pd.DataFrame
) -> None:
    home = platform.home
    begun = time.time()
    with PlatformClient.at(home, "pipeline") as pipeline, PlatformClient.at(home, "feed") as feed:
        pipeline.submit(3, plan)
        played = play(replay(flights, START, START + pd.Timedelta(days=7)), platform.service, feed, lambda *_: None)
        one = pipeline.get("/status")["experiments"][-1]
    assert played.failed == 0
    assert one["share"] == plan.share
    log = open_log(url_of(home))
    with log.connect() as connection:
        rows = pd.DataFrame(
            connection.execute(sa.select(PREDICTIONS).where(PREDICTIONS.c.asked_at > begun)).mappings().all()
        )
    assert len(rows) == played.flights
    live = rows[rows["propensity"] < 1]
    share = (live["arm"] == "challenger").mean()
    assert abs(share - plan.share) < 4 * (plan.share * (1 - plan.share) / len(live)) ** 0.5
    assert set(live.loc[live["arm"] == "challenger", "version"]) == {3}
    assert set(rows.loc[rows["arm"] == "champion", "version"]) == {1}
    again = httpx.post(
        f"{platform.service}/predict", json=as_requests(flights[flights["flight_id"] == live["flight_id"].iloc[0]])[0]
    )
    assert again.json()["version"] == live["version"].iloc[0], "the same flight, the same arm"


BAD: dict[str, Callable[[Path], Package]] = {
    "no score": lambda home: graphs.table_of_carriers(home, 2, {"UA": 0.2, "B6": 0.3}, failing="DL"),
    "took far longer": lambda home: graphs.busy(home, 2, rounds=3_000),
    "no score for": lambda home: graphs.busy(home, 2, rounds=2**62),
}


@pytest.mark.parametrize("why", BAD)
def test_a_challenger_that_fails_is_slow_or_hangs_costs_nobody_an_answer_and_is_stopped(
    platform: RunningPlatform, registered: Registry, plan: Plan, flights: pd.DataFrame, why: str
) -> None:
    version = registry.get(registered.client, "2")
    bad = BAD[why](platform.home)  # past the gates, which would have seen it
    registered.client.set_model_version_tag("flight-delays", "2", "package", json.dumps(bad.files))
    try:
        with PlatformClient.at(platform.home, "operator") as operator:
            operator.submit(2, replace(plan, share=0.5))
            begun, played = time.monotonic(), Played()
            with httpx.Client(base_url=platform.service, timeout=10) as http:
                for start in range(0, 3_000, 10):
                    ask(http, flights.iloc[start : start + 10], played)
                    one = operator.get("/status")["experiments"][-1]
                    if one["state"] != "running":
                        break
    finally:
        registered.client.set_model_version_tag("flight-delays", "2", "package", version.tags["package"])
    assert (one["state"], played.failed) == ("aborted", 0)
    assert why in one["reason"]
    assert time.monotonic() - begun < 60
    assert set(played.by_version) == {1}


def test_a_worker_that_dies_is_replaced_and_no_platform_starts_twice(platform: RunningPlatform) -> None:
    children = psutil.Process(platform.process.pid).children()
    children[0].kill()
    until = time.monotonic() + 30
    while time.monotonic() < until:
        alive = [c for c in psutil.Process(platform.process.pid).children() if c.status() != psutil.STATUS_ZOMBIE]
        if len(alive) == len(children) and children[0] not in alive:
            break
        time.sleep(0.2)
    assert len(alive) == len(children)
    with running_platform(platform.home) as second:
        assert second.process.wait(timeout=60) == 2
    assert "runs in" in (platform.home / "platform.log").read_text()


def test_acts_take_effect_in_the_workers_and_strangers_may_not_act(
    platform: RunningPlatform, flights: pd.DataFrame
) -> None:
    body = as_requests(flights.head(1))[0]
    with PlatformClient.at(platform.home, "operator") as operator, PlatformClient.at(platform.home, "feed") as feed:
        with pytest.raises(RefusedError, match="feed may not operate"):
            feed.post("/rollback", reason="because")
        for act, version in (("/versions/2/promote", 2), ("/rollback", 1)):
            operator.post(act, reason="a drill")
            until = time.monotonic() + 5
            seen: set[int] = set()
            while seen != {version} and time.monotonic() < until:
                seen = {httpx.post(f"{platform.service}/predict", json=body).json()["version"] for _ in range(6)}
            assert seen == {version}


def test_the_stream_counts_what_is_not_answered(platform: RunningPlatform, flights: pd.DataFrame) -> None:
    with PlatformClient.at(platform.home, "feed") as feed:
        hours = list(replay(flights, START, START + pd.Timedelta(hours=12)))
        played: Played = play(hours, "http://127.0.0.1:9", feed, lambda *_: None)
    assert played.failed == played.requests > 0


def test_after_a_kill_it_serves_again_what_it_served_and_the_registry_may_be_gone(
    running: RunningPlatform, registered: Registry, flights: pd.DataFrame
) -> None:
    """The last one: it kills the platform of the others."""
    home = running.home
    body = as_requests(flights.head(1))[0]
    before = httpx.post(f"{running.service}/predict", json=body).json()
    workers = psutil.Process(running.process.pid).children(recursive=True)
    os.kill(running.process.pid, signal.SIGKILL)
    running.process.wait()
    psutil.wait_procs(workers, timeout=20)
    assert not any(worker.is_running() for worker in workers), "workers leave with the platform"
    database = registered.settings.level("level3") / "mlflow.db"
    hidden = database.with_suffix(".away")
    with pytest.raises(UserError, match="no platform runs"):
        PlatformClient.at(home, "operator")
    database.rename(hidden)
    try:
        with running_platform(home) as again:
            again.wait_for_control()
            again.wait_until_ready()
            after = httpx.post(f"{again.service}/predict", json=body).json()
            with PlatformClient.at(home, "operator") as operator:
                trouble = operator.get("/status")["trouble"]
    finally:
        database.unlink(missing_ok=True)
        hidden.rename(database)
    assert (after["version"], after["probability"]) == (before["version"], before["probability"])
    assert "version 1 serves on" in trouble
