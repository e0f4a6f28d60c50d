"""The control plane on a real registry: what a sudden end has cut off is finished, once, at the next start."""

import os
import subprocess
import sys

import pytest

from level4_deployment.control import audit
from level4_deployment.control.control_plane import ControlPlane
from level4_deployment.control.registry_client import UnavailableError
from level4_deployment.serving.routes import read_routes
from tests.level4.conftest import Registry, alias
from tests.level4.registry_faults import refusing

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
