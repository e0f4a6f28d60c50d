"""The control plane on a registry that others move, that fails, or that takes nothing: what it does, and tells."""

import shutil
import time
from contextlib import suppress
from pathlib import Path

import pytest
import sqlalchemy as sa
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE

from level4_deployment.control import audit, control_plane
from level4_deployment.control.api import platform_metrics
from level4_deployment.control.control_plane import ControlPlane
from level4_deployment.control.registry_client import ModelRegistry, UnavailableError, open_client
from level4_deployment.experiment import experiment_store
from level4_deployment.experiment.design import Plan
from level4_deployment.prediction_log import INFERENCE_BATCHES
from level4_deployment.serving.routes import MODELS, read_routes
from shared.errors import UserError
from tests.level4.conftest import MODEL, Registry, alias
from tests.level4.control.streamed import stream
from tests.level4.registry_faults import locked, refusing


def test_the_first_version_becomes_champion_and_is_routed_to(platform: ControlPlane, registry_: Registry) -> None:
    routes = read_routes(platform.home)
    assert routes
    assert (routes.champion.version, routes.challenger, routes.split) == (1, None, None)
    assert (platform.home / MODELS / routes.champion.digest / "model.onnx").exists()
    assert alias(registry_, "champion") == 1


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
    assert alias(registry_, "champion") == 2


def test_an_alias_that_names_nothing_changes_nothing_and_is_told(platform: ControlPlane, registry_: Registry) -> None:
    before = read_routes(platform.home)
    registry_.client.delete_registered_model_alias(MODEL, "champion")
    platform.sync()
    assert read_routes(platform.home) == before
    assert "version 1 keeps serving" in platform.degraded
    assert "champion names no version" in platform.degraded
    assert b"platform_degraded 1.0" in platform_metrics(platform)
    platform.promote(1, "operator", "back")
    assert b"platform_degraded 0.0" in platform_metrics(platform)


def test_where_the_alias_was_taken_away_no_untried_version_becomes_the_champion(
    platform: ControlPlane, plan: Plan, registry_: Registry
) -> None:
    registry_.client.delete_registered_model_alias(MODEL, "champion")
    with pytest.raises(UserError, match="Remedy: make promote VERSION=1"):
        platform.submit(2, plan, "pipeline")
    assert alias(registry_, "champion") is None
    platform.promote(1, "operator", "back")
    assert platform.submit(2, plan, "pipeline")


def test_an_alias_that_is_moved_past_the_platform_is_followed_and_on_record(
    platform: ControlPlane, plan: Plan, registry_: Registry
) -> None:
    platform.submit(2, plan, "pipeline")
    registry_.client.set_registered_model_alias(MODEL, "champion", "3")
    platform.sync()
    platform.sync()
    routes = read_routes(platform.home)
    assert routes
    assert (routes.champion.version, routes.challenger) == (3, None)
    moved = [act for act in audit.trail(platform.log) if act["actor"] == "registry"]
    assert [(act["old_value"], act["new_value"]) for act in moved] == [("1", "3")]
    assert experiment_store.find(platform.log)[0].state == "invalidated"
    assert platform.roll_back("operator", "not that one") == 1


def test_an_alias_that_is_moved_past_the_platform_to_the_version_that_is_tried_is_no_verdict(
    platform: ControlPlane, plan: Plan, registry_: Registry
) -> None:
    platform.submit(2, plan, "pipeline")
    registry_.client.set_registered_model_alias(MODEL, "champion", "2")
    platform.poll()
    (one,) = experiment_store.find(platform.log)
    assert (one.state, one.reason) == ("invalidated", "the champion is now version 2")
    assert read_routes(platform.home).champion.version == 2  # type: ignore[union-attr]


def test_a_package_that_was_touched_is_not_routed_to(platform: ControlPlane, registry_: Registry) -> None:
    version = registry_.client.get_model_version(MODEL, "3")
    kept = Path(registry_.client.get_run(str(version.run_id)).info.artifact_uri.removeprefix("file://"))
    file = kept / "serving" / "model.onnx"
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + b"?")
    try:
        with pytest.raises(UserError, match=r"model\.onnx"):
            platform.promote(3, "operator", "try")
        registry_.client.set_registered_model_alias(MODEL, "champion", "3")  # past the platform
        platform.sync()
    finally:
        file.write_bytes(whole)
    routes = read_routes(platform.home)
    assert routes
    assert routes.champion.version == 1
    assert "version 1 keeps serving" in platform.degraded


def test_a_registry_that_does_not_answer_holds_nobody_up_for_more_than_two_seconds(
    platform: ControlPlane, registry_: Registry
) -> None:
    """Neither those that look and find nothing new, nor those that act."""
    before = read_routes(platform.home)
    running = ControlPlane(
        platform.home,
        ModelRegistry(lambda: open_client(registry_.settings, platform.home), platform.home),
        platform.log,
    )
    running.poll()
    with locked(registry_.settings.level("level3") / "mlflow.db"):
        for act in (running.poll, lambda: running.promote(2, "operator", "try"), lambda: running.roll_back("me", "no")):
            begun = time.monotonic()
            with suppress(UnavailableError):
                act()
            assert time.monotonic() - begun < 2.0
    assert read_routes(platform.home) == before
    assert "version 1 keeps serving" in running.degraded
    running.poll()
    assert running.degraded == ""


def test_a_registry_that_fails_for_a_moment_ends_no_experiment(
    platform: ControlPlane, plan: Plan, registry_: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.submit(2, plan, "pipeline")
    error = MlflowException("database is locked", error_code=TEMPORARILY_UNAVAILABLE)
    with monkeypatch.context() as broken:
        broken.setattr(registry_.client, "get_model_version", lambda *_: (_ for _ in ()).throw(error))
        platform.poll()
    assert "database is locked" in platform.degraded
    platform.poll()
    assert platform.degraded == ""
    assert platform.running()


def test_a_verdict_that_the_registry_does_not_take_is_carried_out_once_it_does(
    platform: ControlPlane, plan: Plan, registry_: Registry
) -> None:
    """Without waiting for another day."""
    platform.submit(2, plan, "pipeline")
    with refusing(registry_):
        stream(platform, 28, gain=0.05)
        platform.poll()
        assert "the verdict is not carried out" in platform.degraded
    assert alias(registry_, "champion") == 1
    platform.poll()
    assert (alias(registry_, "champion"), platform.degraded) == (2, "")
    assert experiment_store.find(platform.log)[0].state == "promoted"


def test_a_verdict_that_is_tried_again_and_again_is_one_line_of_the_trail_and_told_all_the_time(
    platform: ControlPlane, plan: Plan, registry_: Registry
) -> None:
    platform.submit(2, plan, "pipeline")
    with refusing(registry_):
        stream(platform, 28, gain=0.05)
        for _ in range(5):
            platform.poll()
        platform.sync()
        assert "the verdict is not carried out" in platform.degraded, "also while a look follows the aliases"
        cut_off = audit.trail(platform.log)[-2:]
        assert [(act["action"], act["status"]) for act in cut_off] == [
            ("go_live", "done"),
            ("promote", audit.CUT_OFF),
        ]
    platform.poll()
    trail = [(act["action"], act["status"]) for act in audit.trail(platform.log)]
    assert trail[-3:] == [("go_live", "done"), ("promote", "done"), ("end_experiment", "done")]
    assert platform.degraded == ""


def test_two_things_that_cannot_be_done_are_both_told_and_each_until_it_is_done(
    platform: ControlPlane, plan: Plan, registry_: Registry
) -> None:
    platform.submit(2, plan, "pipeline")
    with refusing(registry_):
        stream(platform, 28, gain=0.05)
        registry_.client.delete_registered_model_alias(MODEL, "champion")
        platform.poll()
        assert "champion names no version" in platform.degraded
        assert "the verdict is not carried out" in platform.degraded
    registry_.client.set_registered_model_alias(MODEL, "champion", "1")
    platform.poll()
    assert (alias(registry_, "champion"), platform.degraded) == (2, "")


def test_a_guard_that_cannot_end_an_experiment_tries_on_in_one_line_with_the_last_reason(
    platform: ControlPlane, plan: Plan, registry_: Registry
) -> None:
    made = platform.submit(2, plan, "pipeline")
    assert made
    row = {"version": 2, "experiment": made.experiment, "rows": 20, "seconds": 0.001, "slow": 0, "failed": 20}
    with refusing(registry_, "DELETE"):
        for _ in range(3):
            with platform.log.begin() as connection:
                connection.execute(INFERENCE_BATCHES.insert(), [row] * 10)
            platform.poll()
        assert "the guardrails are not checked" in platform.degraded
    platform.poll()
    ends = [act for act in audit.trail(platform.log) if act["action"] == "end_experiment"]
    assert [(act["status"], "600 of 600" in act["reason"]) for act in ends] == [(audit.DONE, True)]
    assert platform.degraded == ""


def test_a_log_that_fails_ends_no_look_and_is_told_until_it_is_back(
    platform: ControlPlane, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.submit(2, plan, "pipeline")
    log = platform.log
    monkeypatch.setattr(platform, "log", sa.create_engine(f"sqlite:///{platform.home}/gone/log.db"))
    platform.poll()
    assert "unable to open database file" in platform.degraded
    monkeypatch.setattr(platform, "log", log)
    with monkeypatch.context() as broken:
        broken.setattr(
            control_plane,
            "guardrail_violation",
            lambda *_: (_ for _ in ()).throw(sa.exc.OperationalError("", {}, OSError())),
        )
        platform.poll()
    assert "the guardrails are not checked" in platform.degraded
    platform.poll()
    assert platform.degraded == ""
