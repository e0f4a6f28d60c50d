"""The control plane on a real registry: what people and the pipeline ask for, and what follows from it."""

import shutil
from pathlib import Path

import pytest

from level4_deployment.control import audit
from level4_deployment.control.control_plane import ConflictError, ControlPlane
from level4_deployment.control.registry_client import UnavailableError
from level4_deployment.experiment import experiment_store
from level4_deployment.experiment.design import Plan
from level4_deployment.serving.routes import MODELS, read_routes
from shared.errors import UserError
from tests.level4.conftest import Registry
from tests.level4.control.streamed import MODEL, alias, stream
from tests.level4.registry_faults import refusing


def test_the_first_version_becomes_champion_and_is_routed_to(platform: ControlPlane) -> None:
    routes = read_routes(platform.home)
    assert routes
    assert (routes.champion.version, routes.challenger, routes.split) == (1, None, None)
    assert (platform.home / MODELS / routes.champion.digest / "model.onnx").exists()
    assert alias(platform, "champion") == 1


def test_a_second_challenger_must_wait_and_is_told(platform: ControlPlane, plan: Plan) -> None:
    platform.submit(2, plan, "pipeline")
    with pytest.raises(ConflictError, match="version 3 must wait"):
        platform.submit(3, plan, "pipeline")


def test_a_version_that_had_to_wait_is_on_record_with_the_reason(platform: ControlPlane, plan: Plan) -> None:
    platform.submit(2, plan, "pipeline")
    with pytest.raises(ConflictError):
        platform.submit(3, plan, "pipeline")
    last = audit.trail(platform.log)[-1]
    found = tuple(last[name] for name in ("actor", "action", "version", "status"))
    assert found == ("pipeline", audit.REFUSE, 3, audit.DONE)
    assert last["reason"] == "version 2 is being tried against version 1"


def test_a_version_that_is_submitted_again_goes_on_in_the_experiment_that_was_begun(
    platform: ControlPlane, plan: Plan
) -> None:
    first = platform.submit(2, plan, "pipeline")
    stream(platform, 4, gain=0.0)
    before = audit.trail(platform.log), platform.running(), read_routes(platform.home)
    again = platform.submit(2, plan, "pipeline")
    assert first
    assert again
    assert again.experiment == first.experiment
    assert (audit.trail(platform.log), platform.running(), read_routes(platform.home)) == before


def test_the_champion_is_not_tried_against_itself(platform: ControlPlane, plan: Plan) -> None:
    with pytest.raises(UserError, match="version 1 is the champion already"):
        platform.submit(1, plan, "pipeline")


def test_of_two_who_would_replace_the_same_champion_one_wins_and_the_other_is_told(platform: ControlPlane) -> None:
    platform.promote(2, "one", "was better than 1", expected=1)
    with pytest.raises(ConflictError, match="the champion is now version 2"):
        platform.promote(3, "other", "was better than 1", expected=1)
    assert alias(platform, "champion") == 2


def test_another_share_voids_the_experiment_and_begins_a_new_one(platform: ControlPlane, plan: Plan) -> None:
    platform.submit(2, plan, "pipeline")
    before = platform.running()
    after = platform.change_traffic_split(0.4, "operator")
    assert before
    states = {one.experiment: one.state for one in experiment_store.find(platform.log)}
    assert states == {before.experiment: "invalidated", after.experiment: "running"}
    assert (after.plan.share, after.salt != before.salt) == (0.4, True)
    assert platform.change_traffic_split(0.4, "operator") == after, "asked twice, it changes once"


def test_promoting_the_champion_again_is_no_act_and_a_roll_back_always_gives_another(platform: ControlPlane) -> None:
    platform.promote(2, "operator", "better", expected=1)
    trail = audit.trail(platform.log)
    platform.promote(2, "operator", "asked again after a crash", expected=1)
    platform.promote(2, "operator", "asked again by hand")
    assert audit.trail(platform.log) == trail
    assert platform.roll_back("operator", "no good") == 1


def test_a_roll_back_gives_the_alias_to_the_champion_before(platform: ControlPlane) -> None:
    platform.promote(2, "operator", "try")
    assert platform.roll_back("operator", "no good") == 1
    routes = read_routes(platform.home)
    assert routes
    assert routes.champion.version == 1
    assert [act["reason"] for act in audit.trail(platform.log)][-1] == "no good"


def test_a_roll_back_that_is_asked_for_twice_goes_back_once(platform: ControlPlane) -> None:
    for number in (2, 3):
        platform.promote(number, "operator", "try")
    assert [platform.roll_back("loop", "no good", expected=3) for _ in range(2)] == [2, 2]
    assert alias(platform, "champion") == 2
    assert [act["action"] for act in audit.trail(platform.log)].count("roll_back") == 1


def test_a_roll_back_to_the_version_that_is_tried_is_no_promotion(platform: ControlPlane, plan: Plan) -> None:
    for number in (2, 3):
        platform.promote(number, "operator", "try")
    platform.submit(2, plan, "pipeline")
    assert platform.roll_back("operator", "no good") == 2
    (one,) = experiment_store.find(platform.log)
    assert (one.state, one.reason) == ("invalidated", "the champion is now version 2")
    assert platform.degraded == ""


def test_a_version_whose_files_are_gone_is_not_rolled_back_to(platform: ControlPlane, registry_: Registry) -> None:
    platform.promote(2, "operator", "try")
    version = registry_.client.get_model_version(MODEL, "1")
    kept = Path(registry_.client.get_run(str(version.run_id)).info.artifact_uri.removeprefix("file://")) / "serving"
    kept.rename(kept.with_name("away"))
    shutil.rmtree(platform.home / MODELS)
    try:
        with pytest.raises((UnavailableError, OSError)):
            platform.roll_back("operator", "no good")
    finally:
        kept.with_name("away").rename(kept)
    assert alias(platform, "champion") == 2


def test_what_a_person_asks_for_twice_is_twice_on_record(platform: ControlPlane, registry_: Registry) -> None:
    with refusing(registry_):
        for reason in ("a try", "another"):
            with pytest.raises(UnavailableError):
                platform.promote(2, "operator", reason)
    assert [act["reason"] for act in audit.trail(platform.log)[-2:]] == ["a try", "another"]
