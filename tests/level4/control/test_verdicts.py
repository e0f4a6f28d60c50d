"""The control plane on a real registry: who is tried, and what follows from what is seen."""

from dataclasses import replace
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa

from level4_deployment.control import audit
from level4_deployment.control.control_plane import CHALLENGER, ControlPlane
from level4_deployment.experiment import experiment_store
from level4_deployment.experiment.design import Plan, verdict_on
from level4_deployment.prediction_log import EXPERIMENT_DAYS, INFERENCE_BATCHES
from level4_deployment.serving.routes import read_routes
from tests.level4.conftest import Registry
from tests.level4.control.streamed import alias, as_asked, by_another_salt, stream, with_losses


def test_the_next_one_is_tried_in_shadow_first_then_live_then_judged(platform: ControlPlane, plan: Plan) -> None:
    platform.submit(2, plan, "pipeline")
    routes = read_routes(platform.home)
    assert routes
    assert routes.split
    assert (routes.challenger and routes.challenger.version, routes.split.share) == (2, 0.0)
    stream(platform, 3, gain=0.05)
    live = read_routes(platform.home)
    assert live
    assert live.split
    assert live.split.share == plan.share
    assert live.split.salt == routes.split.salt
    assert [one.live_from for one in experiment_store.find(platform.log)] == ["2013-04-06"]


def test_a_better_challenger_is_promoted_and_the_trail_says_why(platform: ControlPlane, plan: Plan) -> None:
    platform.submit(2, plan, "pipeline")
    stream(platform, 28, gain=0.05)
    (done,) = experiment_store.find(platform.log)
    assert done.state == "promoted"
    assert (alias(platform, "champion"), alias(platform, CHALLENGER)) == (2, None)
    routes = read_routes(platform.home)
    assert routes
    assert (routes.champion.version, routes.challenger) == (2, None)
    trail = [(act["action"], act["actor"], act["status"]) for act in audit.trail(platform.log)]
    assert trail[1:] == [
        ("begin_experiment", "pipeline", "done"),
        ("go_live", "platform", "done"),
        ("promote", "platform", "done"),
        ("end_experiment", "platform", "done"),
    ]


def test_a_worse_challenger_is_rejected(platform: ControlPlane, plan: Plan) -> None:
    platform.submit(2, plan, "pipeline")
    stream(platform, 28, gain=-0.05)
    (done,) = experiment_store.find(platform.log)
    assert done.state == "rejected"
    assert alias(platform, "champion") == 1


def test_a_split_that_is_not_the_one_asked_for_blocks_every_verdict(platform: ControlPlane, plan: Plan) -> None:
    platform.submit(2, plan, "pipeline")
    stream(platform, 24, gain=0.05, split=with_losses)
    assert experiment_store.find(platform.log)[0].state == "running"
    assert alias(platform, "champion") == 1


@pytest.mark.parametrize(("good_days", "kind"), [(range(7), "promote"), (range(7, 28), "blocked")])
def test_a_verdict_stands_or_falls_with_the_split_of_its_own_days(plan: Plan, good_days: range, kind: str) -> None:
    """Found after a week: neither do flights that are lost later block it, nor do whole days later release it."""
    days = pd.DataFrame(
        {
            "day": [f"2013-04-{day + 1:02}" for day in range(28)],
            "flights": 900,
            "mean_loss_difference": [0.05 + 0.001 * (day % 3) for day in range(28)],
            "champion_arm": 900,
            "challenger_arm": [100 if day in good_days else 50 for day in range(28)],
        }
    )
    verdict = verdict_on(plan, days)
    assert (verdict.kind, verdict.day) == (kind, 7)


CHANGED: dict[str, dict[str, Any]] = {
    "the salt in the routes": {},
    "the salt on record": {"salt": "another"},
    "the share on record": {"share": 0.5},
}


@pytest.mark.parametrize("changed", CHANGED)
def test_an_experiment_whose_split_was_changed_is_void_and_promotes_nobody(
    platform: ControlPlane, plan: Plan, changed: str
) -> None:
    platform.submit(2, plan, "pipeline")
    stream(platform, 4, gain=0.05)
    running = platform.running()
    assert running
    experiment_store.save(platform.log, replace(running, **CHANGED[changed]))
    stream(platform, 28, 0.05, as_asked if CHANGED[changed] else by_another_salt, begin=5)
    (one,) = experiment_store.find(platform.log)
    assert one.state == "invalidated"
    assert "were split by another salt, or another share than" in one.reason
    assert alias(platform, "champion") == 1


def test_with_approval_a_winner_waits_for_a_person(platform: ControlPlane, plan: Plan) -> None:
    platform.approval = True
    platform.submit(2, plan, "pipeline")
    stream(platform, 28, gain=0.05)
    assert alias(platform, "champion") == 1
    assert platform.approve("operator") == 2
    assert alias(platform, "champion") == 2
    assert experiment_store.find(platform.log)[0].state == "promoted"


def test_what_waits_for_approval_waits_on_a_platform_that_is_started_without(
    platform: ControlPlane, plan: Plan, registry_: Registry
) -> None:
    platform.approval = True
    platform.submit(2, plan, "pipeline")
    stream(platform, 28, gain=0.05)
    again = ControlPlane(platform.home, platform.registry, platform.log)
    again.poll()
    assert alias(platform, "champion") == 1
    assert again.approve("operator") == 2


def test_days_are_judged_alike_when_the_platform_was_started_anew_in_between(
    platform: ControlPlane, plan: Plan, registry_: Registry
) -> None:
    platform.submit(2, replace(plan), "pipeline")
    stream(platform, 5, gain=0.05)
    days = experiment_store.days_of(platform.log, experiment_store.find(platform.log)[0].experiment)
    again = ControlPlane(platform.home, platform.registry, platform.log)
    again.reconcile()
    with platform.log.begin() as connection:
        connection.execute(sa.delete(EXPERIMENT_DAYS))
    again.judge()
    pd.testing.assert_frame_equal(
        experiment_store.days_of(platform.log, experiment_store.find(platform.log)[0].experiment), days
    )


def test_a_failing_challenger_is_stopped_at_once(platform: ControlPlane, plan: Plan) -> None:
    made = platform.submit(2, plan, "pipeline")
    assert made
    row = {"version": 2, "experiment": made.experiment, "rows": 20, "seconds": 0.001, "slow": 0}
    with platform.log.begin() as connection:
        connection.execute(INFERENCE_BATCHES.insert(), [row | {"failed": 0}] * 20)
    platform.guard()
    assert platform.running()
    with platform.log.begin() as connection:
        connection.execute(INFERENCE_BATCHES.insert(), [row | {"failed": 20}] * 10)
    platform.guard()
    (done,) = experiment_store.find(platform.log)
    assert done.state == "aborted"
    assert "200 of 600" in done.reason
    assert alias(platform, CHALLENGER) is None


def test_one_late_batch_ends_no_experiment_and_a_part_that_fails_of_every_batch_does(
    platform: ControlPlane, plan: Plan
) -> None:
    made = platform.submit(2, plan, "pipeline")
    assert made
    row = {"version": 2, "experiment": made.experiment, "rows": 200, "seconds": 0.001, "slow": 0}
    with platform.log.begin() as connection:
        connection.execute(INFERENCE_BATCHES.insert(), [row | {"failed": 0}] * 3 + [row | {"failed": 200}])
    platform.guard()
    assert platform.running()
    with platform.log.begin() as connection:
        connection.execute(INFERENCE_BATCHES.insert(), [row | {"failed": 20}] * 100)
    platform.guard()
    assert platform.running() is None
