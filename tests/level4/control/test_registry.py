"""The control plane on MLflow's registry: one that others change, that fails, is slow, or takes nothing."""

import shutil
import time
from contextlib import suppress
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE

from level4_deployment.control import audit
from level4_deployment.control.api import platform_metrics
from level4_deployment.control.control_plane import ControlPlane
from level4_deployment.control.registry_client import ModelRegistry, UnavailableError, open_client
from level4_deployment.experiment import experiment_store
from level4_deployment.experiment.design import Plan
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


def test_a_registry_that_does_not_answer_delays_nothing_by_more_than_two_seconds(
    platform: ControlPlane, registry_: Registry
) -> None:
    """Neither a poll that finds nothing new, nor an action."""
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
