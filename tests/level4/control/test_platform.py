"""The platform as people run it: a control plane and two workers, real flights over HTTP, kills and a registry down."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import psutil
import pytest
import sqlalchemy as sa

from level3_training_pipeline.tracking import mlflow_runs, registry
from level4_deployment.control.client import PlatformClient
from level4_deployment.control.platform_process import RunningPlatform, running_platform
from level4_deployment.control.registry_client import package_of
from level4_deployment.demo import stream
from level4_deployment.demo.candidates import START as START_OF_SEARCH
from level4_deployment.demo.candidates import register_by_hand
from level4_deployment.experiment.design import Plan
from level4_deployment.prediction_log import PREDICTIONS, open_log, url_of
from level4_deployment.replay_client import ReplayStats, as_requests, ask, replay_over_http
from level4_deployment.serving.reloader import wait_for_workers
from level4_deployment.serving.routes import Package
from shared.data.replay import replay
from shared.errors import UserError
from tests.level4 import graphs
from tests.level4.graphs import known_to_graphs
from tests.level4.registries import Registry
from tests.support import eventually, living

pytestmark = pytest.mark.slow
START = pd.Timestamp("2013-04-01", tz="America/New_York").tz_convert("UTC")


@pytest.fixture(scope="module")
def folder(registered: Registry) -> Path:
    """Level 4's: `make submit` asks the platform that runs there."""
    return registered.settings.level("level4")


def served(platform: RunningPlatform, role: str) -> set[tuple[int, str]]:
    """Version and digest of what all workers serve as champion or challenger, once they follow the routes."""

    def both() -> list[dict[str, Any]]:
        wait_for_workers(platform.home)
        workers: list[dict[str, Any]] = httpx.get(f"{platform.service}/ready").json()["workers"]
        return workers if len(workers) == 2 else []

    workers = eventually(both, within=30)
    return {(worker[role]["version"], worker[role]["digest"]) for worker in workers}


def ask_until_it_ends(
    http: httpx.Client, operator: PlatformClient, flights: pd.DataFrame, played: ReplayStats
) -> dict[str, Any]:
    """Ask for flights without pause until the experiment has ended, for a minute at most; returns the experiment."""
    starts = cycle(range(0, 3_000, 10))

    def ended() -> dict[str, Any]:
        start = next(starts)
        ask(http, flights.iloc[start : start + 10], played)
        one: dict[str, Any] = operator.get("/status")["experiments"][-1]
        return one if one["state"] != "running" else {}

    return eventually(ended, within=60)


def test_days_of_real_flights_lead_through_shadow_to_a_live_split_and_every_answer_is_on_the_log(
    idle: RunningPlatform, registered: Registry, plan: Plan, flights: pd.DataFrame
) -> None:
    home = idle.home
    begun = time.time()
    tested = {(3, package_of(registry.get(registered.client, "3")).digest)}
    with PlatformClient.at(home, "pipeline") as pipeline, PlatformClient.at(home, "feed") as feed:
        pipeline.submit(3, plan)
        assert served(idle, "challenger") == tested, "in shadow"
        played = replay_over_http(
            replay(flights, START, START + pd.Timedelta(days=7)), idle.service, feed, lambda *_: None
        )
        one = pipeline.get("/status")["experiments"][-1]
    assert played.failed == 0
    assert one["share"] == plan.share
    with open_log(url_of(home)) as log, log.connect() as connection:
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
        f"{idle.service}/predict", json=as_requests(flights[flights["flight_id"] == live["flight_id"].iloc[0]])[0]
    )
    assert again.json()["version"] == live["version"].iloc[0], "the same flight, the same arm"
    assert served(idle, "challenger") == tested, "live"
    with PlatformClient.at(home, "operator") as operator:
        operator.post("/versions/3/promote", reason="as good a winner as any")
        assert served(idle, "champion") == tested, "in production"
        operator.post("/rollback", reason="the test is over")


@contextmanager
def tried(
    platform: RunningPlatform, registered: Registry, plan: Plan, bad: Package
) -> Iterator[tuple[PlatformClient, httpx.Client]]:
    """Version 2 is tried with this package, past the gates, which would have seen what is wrong with it."""
    client, good = registered.client, registry.get(registered.client, "2").tags["package"]
    client.set_model_version_tag("flight-delays", "2", "package", json.dumps(bad.files))
    try:
        with (
            PlatformClient.at(platform.home, "operator") as operator,
            httpx.Client(base_url=platform.service, timeout=10) as http,
        ):
            operator.submit(2, replace(plan, share=0.5))
            wait_for_workers(platform.home)  # they may still serve what was tried before
            yield operator, http
    finally:
        client.set_model_version_tag("flight-delays", "2", "package", good)


def test_a_challenger_that_begins_to_fail_when_it_is_live_is_stopped_and_the_champion_answers_for_it(
    idle: RunningPlatform, registered: Registry, plan: Plan, flights: pd.DataFrame
) -> None:
    begin, known = START + pd.Timedelta(days=14), known_to_graphs(flights)
    fails = known["carrier"] == "DL"
    bad = graphs.table_of_carriers(idle.home, 2, {"UA": 0.2, "B6": 0.3}, failing="DL")
    with (
        tried(idle, registered, plan, bad) as (operator, http),
        PlatformClient.at(idle.home, "feed") as feed,
    ):
        calm = replay(known[~fails], begin, begin + pd.Timedelta(days=6))
        before = replay_over_http(
            calm, idle.service, feed, lambda *_: wait_for_workers(idle.home)
        )  # the hours go by fast
        one = operator.get("/status")["experiments"][-1]
        assert (one["state"], one["share"], before.failed) == ("running", 0.5, 0)
        assert set(before.by_version) == {1, 2}, "the challenger answers users"
        live = ReplayStats()
        failing = known[fails & (known["predicted_at"] > begin + pd.Timedelta(days=6))]
        one = ask_until_it_ends(http, operator, failing, live)
        wait_for_workers(idle.home)
        after = ReplayStats()
        ask(http, failing.head(300), after)
    assert one["state"] == "failed"
    assert "no score" in one["reason"]
    assert (live.failed, set(live.by_version)) == (0, {1}), "the champion has answered where the challenger failed"
    assert (after.failed, after.by_version) == (0, {1: 300})


def test_a_students_version_is_delivered_to_an_experiment_that_a_stream_of_real_flights_feeds(
    idle: RunningPlatform, registered: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    client = mlflow_runs.open_tracking(replace(registered.settings, workspace=""))
    made = register_by_hand(client, registered.settings, lambda table: table, START_OF_SEARCH, "by a student")
    mlflow_runs.open_tracking(registered.settings)
    act = [sys.executable, "-m", "level4_deployment", "deliver", str(made.number)]
    told = subprocess.run(act, capture_output=True, text=True, check=True).stdout
    shown = [
        told.index(words) for words in ("passes all gates", "the plan: up to 56 days", "The plan: up to", "Next: make")
    ]
    assert shown == sorted(shown)
    with PlatformClient.at(idle.home, "pipeline") as pipeline:
        tried = pipeline.get("/status")
        begin, _ = stream.earliest(pipeline, registered.settings, idle.home)
    here = tried["experiments"][-1]["challenger"]
    assert f"Level 3's version {made.number} is version {here} here" in told
    own = (idle.home / "platform.log").read_text()
    assert f"begin experiment {tried['experiments'][-1]['experiment']}, by pipeline" in own, "its terminal shows it"
    played = stream.stream(registered.settings, idle.home, "", str(begin + timedelta(days=4)))
    assert (played.failed, played.flights > 2_000, played.labels > 2_000) == (0, True, True)
    told = " ".join(capsys.readouterr().out.split())
    assert f"requests for {played.flights:,} flights failed; {played.labels:,} labels sent" in told
    assert "undecided: mean gain" in told
    with pytest.raises(UserError, match=rf"FROM={begin} is before .* has had the flights before it already"):
        stream.stream(registered.settings, idle.home, str(begin), "")


def test_no_platform_starts_twice(idle: RunningPlatform) -> None:
    with running_platform(idle.home) as second:
        assert second.process.wait(timeout=60) == 2
    assert "runs in" in (idle.home / "platform.log").read_text()


def test_the_stream_counts_what_is_not_answered(idle: RunningPlatform, flights: pd.DataFrame) -> None:
    with PlatformClient.at(idle.home, "feed") as feed:
        hours = list(replay(flights, START, START + pd.Timedelta(hours=12)))
        played: ReplayStats = replay_over_http(hours, "http://127.0.0.1:9", feed, lambda *_: None)
    assert played.failed == played.requests > 0


def test_after_a_kill_its_workers_leave_and_it_serves_again_what_it_served(
    running: RunningPlatform, flights: pd.DataFrame
) -> None:
    """The last one: it kills the platform of the others."""
    home = running.home
    body = as_requests(flights.head(1))[0]
    before = httpx.post(f"{running.service}/predict", json=body).json()
    workers = psutil.Process(running.process.pid).children(recursive=True)
    running.process.kill()
    running.process.wait()
    eventually(lambda: not living(workers), within=60, shows=lambda: living(workers))
    with pytest.raises(UserError, match="no platform runs"):
        PlatformClient.at(home, "operator")
    with running_platform(home) as again:
        again.wait_for_control()
        again.wait_until_ready()
        after = httpx.post(f"{again.service}/predict", json=body).json()
    assert (after["version"], after["probability"]) == (before["version"], before["probability"])
