"""The control plane on a real registry: what a sudden end has cut off is finished, once, at the next start."""

import os
import subprocess
import sys

import pytest

from level4_deployment.control import audit
from level4_deployment.control.control_plane import ControlPlane
from level4_deployment.control.registry_client import UnavailableError
from level4_deployment.experiment import experiment_store
from level4_deployment.experiment.design import Plan
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


def test_a_change_of_the_share_that_is_cut_off_leaves_one_experiment_under_way(
    platform: ControlPlane, plan: Plan, registry_: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.submit(2, plan, "pipeline")
    with monkeypatch.context() as killed:
        killed.setattr(audit, "close", lambda *_: sys.exit("killed"))
        with pytest.raises(SystemExit):
            platform.change_traffic_split(0.4, "operator")
    again = ControlPlane(platform.home, platform.registry, platform.log)
    again.reconcile()
    assert [one.state for one in experiment_store.find(platform.log)] == ["invalidated", "running"]
    assert audit.trail(platform.log)[-1]["status"] == audit.DONE
    routes = read_routes(platform.home)
    assert routes
    assert routes.split
    assert routes.split.experiment == experiment_store.find(platform.log)[-1].experiment


def test_an_act_that_never_took_effect_is_told_from_one_that_did(platform: ControlPlane, registry_: Registry) -> None:
    begin = audit.Action("pipeline", audit.BEGIN, "killed", 2, "1-against-2-gone", None, "running")
    begun = audit.begin(platform.log, begin)
    ControlPlane(platform.home, platform.registry, platform.log).reconcile()
    states = {act["number"]: act["status"] for act in audit.trail(platform.log)}
    assert states[begun] == audit.CUT_OFF


def test_an_act_on_an_experiment_took_effect_if_its_record_says_so(
    platform: ControlPlane, registry_: Registry, plan: Plan
) -> None:
    made = platform.submit(2, plan, "pipeline")
    assert made
    changes = [
        (audit.BEGIN, None, "running"),
        (audit.END, "running", "invalidated"),
        (audit.GO_LIVE, "0", f"{plan.share:g}"),
        (audit.CHANGE_SPLIT, "0.3", f"{plan.share:g}"),
    ]
    begun = [
        audit.begin(platform.log, audit.Action("operator", action, "killed", 2, made.experiment, old, new))
        for action, old, new in changes
    ]
    ControlPlane(platform.home, platform.registry, platform.log).reconcile()
    states = {act["number"]: act["status"] for act in audit.trail(platform.log)}
    assert [states[number] for number in begun] == ["done", "cut_off", "cut_off", "done"]


def test_what_was_cut_off_is_finished_as_soon_as_the_registry_is_back(
    platform: ControlPlane, registry_: Registry
) -> None:
    audit.begin(platform.log, audit.move("operator", audit.PROMOTE, 1, 2, "killed"))
    started = ControlPlane(platform.home, platform.registry, platform.log)
    with refusing(registry_):
        started.poll()
    assert "not finished" in started.degraded
    assert read_routes(platform.home).champion.version == 1  # type: ignore[union-attr]
    started.poll()
    assert (started.degraded, alias(registry_, "champion")) == ("", 2)
    assert not audit.open_actions(platform.log)


def test_a_move_that_failed_is_not_made_up_for_at_the_next_start(platform: ControlPlane, registry_: Registry) -> None:
    with refusing(registry_), pytest.raises(UnavailableError):
        platform.promote(3, "operator", "the registry can be read, and takes nothing")
    assert audit.trail(platform.log)[-1]["status"] == audit.CUT_OFF
    platform.promote(2, "operator", "later")
    ControlPlane(platform.home, platform.registry, platform.log).reconcile()
    assert alias(registry_, "champion") == 2
    assert platform.roll_back("operator", "back") == 1


def test_a_move_that_was_cut_off_is_not_replayed_over_a_later_one(platform: ControlPlane, registry_: Registry) -> None:
    begun = audit.begin(platform.log, audit.move("operator", audit.PROMOTE, 1, 3, "killed"))
    platform.promote(2, "operator", "later")
    ControlPlane(platform.home, platform.registry, platform.log).reconcile()
    assert alias(registry_, "champion") == 2
    assert {act["number"]: act["status"] for act in audit.trail(platform.log)}[begun] == audit.CUT_OFF
