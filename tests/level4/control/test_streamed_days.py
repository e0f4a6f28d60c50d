"""Days as a stream of flights leaves them on the log: in memory, on SQLite and on PostgreSQL the same follows."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from level4_deployment.control import audit
from level4_deployment.control.control_plane import ControlPlane
from level4_deployment.experiment import assignment, experiment_store
from level4_deployment.experiment.design import Plan
from level4_deployment.experiment.experiment_store import Experiment
from level4_deployment.experiment.labels import Label, ingest, read_watermark
from level4_deployment.prediction_log import EXPERIMENT_DAYS, LABELS, PREDICTIONS, SHADOW_PREDICTIONS
from tests.factories import both_predictions, insert, label
from tests.level4 import postgres
from tests.level4.plane import routed
from tests.level4.registries import InMemoryRegistry

FLIGHTS = 40  # a day
Split = Callable[[Experiment, str], str | None]


def as_assigned(running: Experiment, flight: str) -> str | None:
    return assignment.arm(running.salt, running.share, flight)


def by_another_salt(running: Experiment, flight: str) -> str | None:
    """As workers split whose routes were changed."""
    return assignment.arm("another", running.share, flight)


def stream(platform: ControlPlane, days: int, gain: float, split: Split = as_assigned, begin: int = 0) -> None:
    """Put whole days of predictions and labels on the log, the challenger better by `gain` nats, and judge each."""
    random = np.random.default_rng(5)
    noon = pd.Timestamp("2013-04-01 12:00", tz="America/New_York")
    for day in range(begin, begin + days + 1):
        running = platform.running()
        if running is None:
            return
        at = (noon + pd.DateOffset(days=day)).timestamp()
        flights = {name: arm for i in range(FLIGHTS) if (arm := split(running, name := f"{day}-{i}"))}
        rows = []
        for name, arm in flights.items():
            chances = {1: 0.5, 2: float(np.exp(np.log(0.5) + gain + random.normal(0, 0.02)))}
            rows.append(both_predictions(running, name, arm, at, chances))
        insert(platform.log, PREDICTIONS, [row for row, _ in rows])
        insert(platform.log, SHADOW_PREDICTIONS, [shadow for _, shadow in rows])
        insert(platform.log, LABELS, [label(name, late=1, known_at=at + 60) for name in flights])
        ingest(platform.log, [], (noon.normalize() + pd.DateOffset(days=day + 2)).timestamp())
        platform.judge()


@pytest.fixture
def platform(in_memory: ControlPlane, plan: Plan) -> ControlPlane:
    """Version 2 is tried against version 1."""
    in_memory.submit(2, plan, "pipeline")
    return in_memory


CHANGED: dict[str, dict[str, Any]] = {
    "the salt in the routes": {},
    "the share on record": {"share": 0.5},
}


@pytest.mark.parametrize("changed", CHANGED)
def test_an_experiment_whose_split_was_changed_is_invalid_and_promotes_nothing(
    platform: ControlPlane, changed: str
) -> None:
    stream(platform, 4, gain=0.05)
    running = platform.running()
    assert running
    experiment_store.save(platform.log, replace(running, **CHANGED[changed]))
    stream(platform, 28, 0.05, as_assigned if CHANGED[changed] else by_another_salt, begin=5)
    (one,) = experiment_store.find(platform.log)
    assert one.state == "stopped"
    assert "were split by another salt, or another share than" in one.reason
    assert routed(platform.home)[0] == 1


def test_days_are_closed_alike_after_a_restart(platform: ControlPlane) -> None:
    stream(platform, 5, gain=0.05)
    name = experiment_store.find(platform.log)[0].experiment
    days = experiment_store.days_of(platform.log, name)
    assert len(days) == 5
    with platform.log.begin() as connection:
        connection.execute(sa.delete(EXPERIMENT_DAYS))
    ControlPlane(platform.home, platform.registry, platform.log).poll()
    pd.testing.assert_frame_equal(experiment_store.days_of(platform.log, name), days)


@pytest.mark.parametrize("cut_off", ["judge", "_carry_out"], ids=["the labels are there", "the days are closed"])
def test_a_verdict_that_a_sudden_end_has_cut_off_is_carried_out_at_the_next_start(
    platform: ControlPlane, monkeypatch: pytest.MonkeyPatch, cut_off: str
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(platform, cut_off, lambda *_: None)  # and then the process is gone
        stream(platform, 21, gain=0.05)
    assert routed(platform.home)[0] == 1
    ControlPlane(platform.home, platform.registry, platform.log).poll()
    assert routed(platform.home)[0] == 2
    assert experiment_store.find(platform.log)[0].state == "promoted"


@pytest.fixture
def on_database(registry: InMemoryRegistry, log: sa.Engine, tmp_path: Path) -> ControlPlane:
    """Version 1 is the champion."""
    made = ControlPlane(tmp_path, registry, log)
    made.submit(1, None, "pipeline")
    return made


def test_a_better_challenger_is_promoted_rolled_back_and_all_is_on_record(
    on_database: ControlPlane, plan: Plan
) -> None:
    on_database.submit(2, plan, "pipeline")
    stream(on_database, 28, gain=0.05)
    (done,) = experiment_store.find(on_database.log)
    assert (done.state, done.live_from, done.verdict and done.verdict.day) == ("promoted", "2013-04-06", 14)
    assert "better" in done.reason
    days = experiment_store.days_of(on_database.log, done.experiment)
    assert days["day"].is_monotonic_increasing
    assert set(days["flights"]) == {40}
    assert days["mean_loss_difference"].mean() == pytest.approx(0.05, abs=0.005)
    again = ingest(on_database.log, [Label("1-1", 0, 5.0), Label("1-1", 1, 5.0)], 5.0)
    assert (again.new, again.repeated, again.quarantined) == (0, 1, 1)
    assert (read_watermark(on_database.log) or 0) > 5.0, "it never goes back"
    assert on_database.roll_back("operator", "a drill") == 1
    assert [(row["action"], row["status"]) for row in audit.trail(on_database.log)] == [
        ("promote", "done"),
        ("begin_experiment", "done"),
        ("go_live", "done"),
        ("promote", "done"),
        ("end_experiment", "done"),
        ("roll_back", "done"),
    ]


def test_the_platform_tries_again_in_the_same_row(on_database: ControlPlane, registry: InMemoryRegistry) -> None:
    number = [audit.begin(on_database.log, audit.Action("platform", "x", "first", None, "a", None, "1"))]
    audit.close(on_database.log, number[0], audit.CUT_OFF)
    for reason, new in (("second", "1"), ("of another", "2")):
        number.append(audit.begin(on_database.log, audit.Action("platform", "x", reason, None, "a", None, new)))
    assert (number[1] == number[0], number[2] == number[0]) == (True, False)
    assert audit.trail(on_database.log)[-2]["reason"] == "second"


def test_without_a_server_a_test_is_skipped_and_fails_where_nothing_may_be(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(postgres, "DEBIANS", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    for asked, outcome in (("", pytest.skip.Exception), ("1", pytest.fail.Exception)):
        monkeypatch.setenv("NOTHING_SKIPPED", asked)
        with pytest.raises(outcome, match="no initdb"), postgres.postgres():
            pass
