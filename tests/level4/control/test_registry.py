"""The control plane on MLflow's registry: others change it, it fails, is slow, refuses; and a kill in between."""

import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE

from level4_deployment.control import audit
from level4_deployment.control.control_plane import ControlPlane
from level4_deployment.control.registry_client import ModelRegistry, UnavailableError, open_client
from level4_deployment.experiment.design import Plan
from level4_deployment.serving.routes import MODELS, read_routes
from shared.errors import UserError
from tests.level4.registries import MODEL, Registry, alias, locked, refusing, run_folder


def test_a_version_whose_files_are_gone_is_not_rolled_back_to(platform: ControlPlane, registry_: Registry) -> None:
    platform.promote(2, "operator", "try")
    kept = run_folder(registry_, 1) / "serving"
    kept.rename(kept.with_name("away"))
    shutil.rmtree(platform.home / MODELS)
    try:
        with pytest.raises((UnavailableError, OSError)):
            platform.roll_back("operator", "no good")
    finally:
        kept.with_name("away").rename(kept)
    assert alias(registry_, "champion") == 2


def test_a_package_that_was_touched_is_not_routed_to(platform: ControlPlane, registry_: Registry) -> None:
    file = run_folder(registry_, 3) / "serving" / "model.onnx"
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


KILLED = """
import os, signal, sys
from pathlib import Path
from level3_training_pipeline.tracking import mlflow_runs
from level4_deployment.control import audit
from level4_deployment.control.control_plane import ControlPlane
from level4_deployment.control.registry_client import ModelRegistry
from level4_deployment.prediction_log import url_of, open_log
from shared.settings import read_settings
home = Path(sys.argv[1])
registry = ModelRegistry(lambda: mlflow_runs.open_tracking(read_settings()), home)
platform = ControlPlane(home, registry, open_log(url_of(home)))
step = sys.argv[2]
if step == "before the alias":
    registry.set_alias = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
else:
    audit.close = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
platform.promote(2, "operator", "killed")
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
@pytest.mark.parametrize("step", ["before the alias", "before the audit row is closed"])
def test_what_a_kill_has_cut_off_is_finished_at_the_next_start(
    platform: ControlPlane, registry_: Registry, step: str
) -> None:
    ended = subprocess.run([sys.executable, "-c", KILLED, str(platform.home), step], check=False)
    assert ended.returncode == -9
    assert audit.open_actions(platform.log)
    again = ControlPlane(platform.home, platform.registry, platform.log)
    again.reconcile()
    assert alias(registry_, "champion") == 2
    assert not audit.open_actions(again.log)
    routes = read_routes(platform.home)
    assert routes
    assert routes.champion.version == 2


def test_a_move_that_failed_is_not_made_up_for_at_the_next_start(platform: ControlPlane, registry_: Registry) -> None:
    with refusing(registry_), pytest.raises(UnavailableError):
        platform.promote(3, "operator", "the registry can be read, and takes nothing")
    assert audit.trail(platform.log)[-1]["status"] == audit.CUT_OFF
    platform.promote(2, "operator", "later")
    ControlPlane(platform.home, platform.registry, platform.log).reconcile()
    assert alias(registry_, "champion") == 2
    assert platform.roll_back("operator", "back") == 1
