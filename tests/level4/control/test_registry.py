"""The control plane on MLflow's registry: others change it, it fails, and it is slow."""

import time
from contextlib import suppress

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE

from level4_deployment.control.control_plane import ControlPlane
from level4_deployment.control.registry_client import ModelRegistry, UnavailableError, open_client
from level4_deployment.experiment.design import Plan
from level4_deployment.serving.routes import read_routes
from shared.errors import UserError
from tests.level4.registries import MODEL, Registry, champion, locked, run_folder


@pytest.mark.parametrize("damage", ["altered", "gone"])
def test_a_version_whose_files_are_damaged_is_neither_promoted_nor_followed(
    platform: ControlPlane, registry_: Registry, damage: str
) -> None:
    file = run_folder(registry_, 3) / "serving" / "model.onnx"
    whole = file.read_bytes()
    if damage == "altered":
        file.write_bytes(whole[:-1] + b"?")
    else:
        file.unlink()
    try:
        with pytest.raises(UserError, match=r"model\.onnx in the registry is not the one on record"):
            platform.promote(3, "operator", "try")
        assert champion(registry_) == 1
        registry_.client.set_registered_model_alias(MODEL, "champion", "3")  # past the platform
        platform.follow_alias()
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
