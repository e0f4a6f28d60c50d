"""The control plane on a real registry: what a sudden end has cut off is finished, once, at the next start."""

import os
import subprocess
import sys

import pytest
from mlflow.exceptions import MlflowException

from level4_deployment import experiments
from level4_deployment.control import Platform
from level4_deployment.plan import Plan
from level4_deployment.routes import read_routes
from tests.level4.conftest import Registry
from tests.level4.down import refusing
from tests.level4.streamed import alias, stream

KILLED = """
import os, signal, sys
from pathlib import Path
from mlflow import MlflowClient
from level3_training_pipeline import tracking
from level4_deployment import experiments
from level4_deployment.control import Platform
from level4_deployment.log import url_of, open_log
from shared.settings import read_settings
home = Path(sys.argv[1])
platform = Platform(home, lambda: tracking.open_tracking(read_settings()), open_log(url_of(home)))
step = sys.argv[2]
if step == "before the alias":
    platform.client.set_registered_model_alias = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
else:
    experiments.end_act = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
platform.promote(2, "operator", "killed")
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
@pytest.mark.parametrize("step", ["before the alias", "before the audit row is closed"])
def test_what_a_kill_has_cut_off_is_finished_at_the_next_start(platform: Platform, step: str) -> None:
    ended = subprocess.run([sys.executable, "-c", KILLED, str(platform.home), step], check=False)
    assert ended.returncode == -9
    assert experiments.acts(platform.log, open_only=True)
    again = Platform(platform.home, platform.open_registry, platform.log)
    again.reconcile()
    assert alias(again, "champion") == 2
    assert not experiments.acts(again.log, open_only=True)
    routes = read_routes(platform.home)
    assert routes
    assert routes.champion.version == 2


def test_a_change_of_the_share_that_is_cut_off_leaves_one_experiment_under_way(
    platform: Platform, plan: Plan, registry_: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.submit(2, plan, "pipeline")
    with monkeypatch.context() as killed:
        killed.setattr(experiments, "end_act", lambda *_: sys.exit("killed"))
        with pytest.raises(SystemExit):
            platform.set_share(0.4, "operator")
    again = Platform(platform.home, lambda: registry_.client, platform.log)
    again.reconcile()
    assert [one.state for one in experiments.find(platform.log)] == ["void", "running"]
    assert experiments.acts(platform.log)[-1]["done"] == experiments.DONE
    routes = read_routes(platform.home)
    assert routes
    assert routes.split
    assert routes.split.experiment == experiments.find(platform.log)[-1].experiment


@pytest.mark.parametrize("cut_off", ["judge", "_decide"], ids=["the outcomes are there", "the days are closed"])
def test_a_verdict_that_a_sudden_end_has_cut_off_is_carried_out_at_the_next_start(
    platform: Platform, plan: Plan, monkeypatch: pytest.MonkeyPatch, registry_: Registry, cut_off: str
) -> None:
    platform.submit(2, plan, "pipeline")
    with monkeypatch.context() as broken:
        broken.setattr(platform, cut_off, lambda *_: None)  # and then the process is gone
        stream(platform, 21, gain=0.05)
    assert alias(platform, "champion") == 1
    Platform(platform.home, lambda: registry_.client, platform.log).reconcile()
    assert alias(platform, "champion") == 2
    assert experiments.find(platform.log)[0].state == "promoted"


def test_an_act_that_never_took_effect_is_told_from_one_that_did(platform: Platform, registry_: Registry) -> None:
    begun = experiments.begin_act(platform.log, "pipeline", "begin experiment", (None, "1-against-2-gone"), "killed")
    Platform(platform.home, lambda: registry_.client, platform.log).reconcile()
    states = {act["number"]: act["done"] for act in experiments.acts(platform.log)}
    assert states[begun] == experiments.CUT_OFF


def test_an_act_on_an_experiment_took_effect_if_its_record_says_so(
    platform: Platform, registry_: Registry, plan: Plan
) -> None:
    made = platform.submit(2, plan, "pipeline")
    assert made
    changes = [(None, made.experiment), (made.experiment, "void"), (made.experiment, f"{plan.share:g} of flights")]
    begun = [experiments.begin_act(platform.log, "operator", "an act", change, "killed") for change in changes]
    Platform(platform.home, lambda: registry_.client, platform.log).reconcile()
    states = {act["number"]: act["done"] for act in experiments.acts(platform.log)}
    assert [states[number] for number in begun] == [experiments.DONE, experiments.CUT_OFF, experiments.CUT_OFF]


def test_what_was_cut_off_is_finished_as_soon_as_the_registry_is_back(platform: Platform, registry_: Registry) -> None:
    experiments.begin_act(platform.log, "operator", "promote", (1, 2), "killed")
    started = Platform(platform.home, lambda: registry_.client, platform.log)
    with refusing(registry_):
        started.look()
    assert "not finished" in started.trouble
    assert read_routes(platform.home).champion.version == 1  # type: ignore[union-attr]
    started.look()
    assert (started.trouble, alias(platform, "champion")) == ("", 2)
    assert not experiments.acts(platform.log, open_only=True)


def test_a_move_that_failed_is_not_made_up_for_at_the_next_start(platform: Platform, registry_: Registry) -> None:
    with refusing(registry_), pytest.raises(MlflowException):
        platform.promote(3, "operator", "the registry can be read, and takes nothing")
    assert experiments.acts(platform.log)[-1]["done"] == experiments.CUT_OFF
    platform.promote(2, "operator", "later")
    Platform(platform.home, lambda: registry_.client, platform.log).reconcile()
    assert alias(platform, "champion") == 2
    assert platform.roll_back("operator", "back") == 1


def test_a_move_that_was_cut_off_is_not_replayed_over_a_later_one(platform: Platform, registry_: Registry) -> None:
    begun = experiments.begin_act(platform.log, "operator", "promote", (1, 3), "killed")
    platform.promote(2, "operator", "later")
    Platform(platform.home, lambda: registry_.client, platform.log).reconcile()
    assert alias(platform, "champion") == 2
    assert {act["number"]: act["done"] for act in experiments.acts(platform.log)}[begun] == experiments.CUT_OFF
