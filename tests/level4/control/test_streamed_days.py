"""Days as a stream of flights leaves them on the log: what the control plane makes of them, day by day."""

from dataclasses import replace
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa

from level4_deployment.control.control_plane import ControlPlane
from level4_deployment.experiment import experiment_store
from level4_deployment.experiment.design import Plan
from level4_deployment.prediction_log import EXPERIMENT_DAYS
from level4_deployment.serving.routes import Routes, read_routes
from tests.level4.control.streamed import as_assigned, by_another_salt, stream


@pytest.fixture
def platform(in_memory: ControlPlane, plan: Plan) -> ControlPlane:
    """Version 2 is tried against version 1."""
    in_memory.submit(2, plan, "pipeline")
    return in_memory


def routes_of(platform: ControlPlane) -> Routes:
    routes = read_routes(platform.home)
    assert routes
    return routes


CHANGED: dict[str, dict[str, Any]] = {
    "the salt in the routes": {},
    "the salt on record": {"salt": "another"},
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
    assert one.state == "invalidated"
    assert "were split by another salt, or another share than" in one.reason
    assert routes_of(platform).champion.version == 1


def test_days_are_closed_alike_after_a_restart(platform: ControlPlane) -> None:
    stream(platform, 5, gain=0.05)
    name = experiment_store.find(platform.log)[0].experiment
    days = experiment_store.days_of(platform.log, name)
    assert len(days) == 5
    with platform.log.begin() as connection:
        connection.execute(sa.delete(EXPERIMENT_DAYS))
    ControlPlane(platform.home, platform.registry, platform.log).poll()
    pd.testing.assert_frame_equal(experiment_store.days_of(platform.log, name), days)


@pytest.mark.parametrize("cut_off", ["judge", "_decide"], ids=["the labels are there", "the days are closed"])
def test_a_verdict_that_a_sudden_end_has_cut_off_is_carried_out_at_the_next_start(
    platform: ControlPlane, monkeypatch: pytest.MonkeyPatch, cut_off: str
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(platform, cut_off, lambda *_: None)  # and then the process is gone
        stream(platform, 21, gain=0.05)
    assert routes_of(platform).champion.version == 1
    ControlPlane(platform.home, platform.registry, platform.log).poll()
    assert routes_of(platform).champion.version == 2
    assert experiment_store.find(platform.log)[0].state == "promoted"
