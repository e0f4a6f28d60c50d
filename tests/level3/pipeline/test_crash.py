"""Killed at any step, raced, or locked out: no half version, and the same command finishes the work."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time

import pytest

from level3_training_pipeline.tracking import mlflow_runs, registry
from tests.level3.world import World

# A process of its own that runs the real flow and dies by SIGKILL when it calls the named function.
DIES = """
import os, signal, sys
from level3_training_pipeline.pipeline import data, evaluate, flow, tune
from level3_training_pipeline.tracking import registry
module, name = sys.argv[1].split(".")
if module != "-":
    of = registry.MlflowClient if module == "client" else globals()[module]
    call = getattr(of, name)
    def die(*args, **options):
        if module == "client":  # what is written to the store is there when it dies
            call(*args, **options)
        os.kill(os.getpid(), signal.SIGKILL)
    setattr(of, name, die)
print("version", flow.training(today=sys.argv[2], trials=2))
"""
# In turn; what the steps before have left is there. The first two steps leave no more than a run and a table.
KILLED_AT = ["data.build_features", "tune.score", "registry.log_model", "evaluate.evaluate", "registry.file_digest"]


def start(world: World, today: str, where: str = "-.-") -> "subprocess.Popen[str]":
    """Train as of a day, to the end or until killed; each test has days of its own."""
    environment = {**os.environ, "PREFECT_API_URL": world.server.api}
    command = [sys.executable, "-c", DIES, where, today]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def version_of(process: "subprocess.Popen[str]") -> int:
    printed, _ = process.communicate(timeout=240)
    assert process.returncode == 0, printed
    return int(printed.split("version ")[-1])


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_killed_at_each_step_it_leaves_no_half_version_and_the_next_run_finishes(world: World, trained: int) -> None:
    before = {str(version.version) for version in world.client.search_model_versions()}

    def kill(step: str) -> set[str]:
        """The versions that there are after a training was killed at this step."""
        process = start(world, "2013-03-03", step)
        printed, _ = process.communicate(timeout=240)
        assert process.returncode == -signal.SIGKILL, (step, printed)
        return {str(version.version) for version in world.client.search_model_versions()}

    for step in KILLED_AT:
        assert kill(step) == before, step
    (whole,) = kill("client.create_model_version") - before
    made = version_of(start(world, "2013-03-03"))
    assert str(made) == whole  # it was there, and nothing is made twice
    version = registry.get(world.client, str(made))
    assert registry.load_version(world.client, version)
    mlflow_runs.open_tracking(world.settings)
    assert not mlflow_runs.runs(world.client, "attributes.status = 'RUNNING'")
    assert [run.data.tags["crashed"] for run in mlflow_runs.runs(world.client, "attributes.status = 'KILLED'")]
    # Tuning was done before the later kills: its trials are on record once, and were not run again.
    tuned_by = world.client.get_run(version.run_id).data.tags["tuned_by"]
    assert tuned_by != version.run_id


@pytest.mark.slow
def test_of_three_trainings_at_once_two_of_the_same_make_one_version_and_all_are_whole(world: World) -> None:
    three = [start(world, today) for today in ("2013-03-04", "2013-03-04", "2013-03-05")]
    first, same, other = (version_of(process) for process in three)
    assert first == same != other
    for number in (first, other):
        version = registry.get(world.client, str(number))
        assert registry.load_version(world.client, version)
        assert len(world.client.search_model_versions(f"tags.training_key = '{version.tags['training_key']}'")) == 1


@pytest.mark.slow
def test_a_locked_tracking_store_is_waited_for_longer_than_sqlite_does_by_itself(world: World, trained: int) -> None:
    locked = sqlite3.connect(
        world.settings.level("level3") / "mlflow.db", isolation_level=None, check_same_thread=False
    )
    locked.execute("BEGIN EXCLUSIVE")
    threading.Timer(7, lambda: locked.execute("ROLLBACK")).start()  # by itself it gives up after 5 s
    begun = time.monotonic()
    assert world.train("2013-03-06", trials=1) > trained
    assert time.monotonic() - begun > 6.5
    locked.close()
