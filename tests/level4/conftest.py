"""A registry with three small versions, packaged for serving; each test gets a platform's folder of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa
from mlflow import MlflowClient
from sklearn.pipeline import Pipeline

from level2_devops.model import fit
from level3_training_pipeline import library_setup
from level3_training_pipeline.tracking import mlflow_runs
from level4_deployment.control.client import PlatformClient
from level4_deployment.control.control_plane import ControlPlane
from level4_deployment.control.platform_process import RunningPlatform, running_platform
from level4_deployment.control.registry_client import ModelRegistry
from level4_deployment.delivery import gates
from level4_deployment.delivery.packaging import publish
from level4_deployment.demo.candidates import TOO_FEW_TREES, register_by_hand
from level4_deployment.experiment.design import Plan, make_plan
from level4_deployment.prediction_log import open_log, url_of
from shared.settings import Settings
from tests.support import environment

TODAY = date(2013, 3, 1)
MODEL = "flight-delays"


@dataclass(frozen=True)
class Registry:
    """Versions 1, 2 and 3 have 5, 10 and 20 trees."""

    settings: Settings
    client: MlflowClient


def alias(registry_: Registry, name: str) -> int | None:
    found = registry_.client.get_registered_model(MODEL).aliases.get(name)
    return None if found is None else int(found)


def run_folder(registry_: Registry, number: int) -> Path:
    """Where the run of a version keeps its files."""
    run = str(registry_.client.get_model_version(MODEL, str(number)).run_id)
    return Path(registry_.client.get_run(run).info.artifact_uri.removeprefix("file://"))


@contextmanager
def three_versions(folder: Path) -> Iterator[Registry]:
    """Level 4's own registry in a folder of the tests, which the environment names while the block runs."""
    settings = Settings(TODAY, None, folder, workspace="level4")
    with environment(MLOPS_STATE=str(settings.state), MLOPS_WORKSPACE="level4", TODAY=str(TODAY)):
        library_setup.set_up_libraries(settings)
        client = mlflow_runs.open_tracking(settings)
        for trees in (5, 10, 20):
            parameters = {**TOO_FEW_TREES, "max_iter": trees}
            made = register_by_hand(client, settings, lambda table: table, parameters, f"{trees} trees")
            publish(client, made)
            gates.record(client, made.number, [gates.Gate("all", passed=True, seen="of the tests")])
        yield Registry(settings, client)


@pytest.fixture(scope="package")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """One for all tests of the level."""
    with three_versions(tmp_path_factory.mktemp("level4")) as made:
        yield made


@pytest.fixture(scope="session")
def trained(known: pd.DataFrame) -> Pipeline:
    """A small model of January to March, for tests that need no registry."""
    return fit(known.iloc[::15], max_iter=20)


@pytest.fixture
def registry_(registered: Registry) -> Registry:
    """The registry without any alias."""
    model = registered.client.get_registered_model(MODEL)
    for alias in dict(model.aliases):
        registered.client.delete_registered_model_alias(MODEL, alias)
    return registered


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "platform"


@pytest.fixture
def log(url: str) -> Iterator[sa.Engine]:
    """An empty prediction log, on a database of either kind."""
    with open_log(url) as engine:
        yield engine


@pytest.fixture
def platform(registry_: Registry, home: Path) -> Iterator[ControlPlane]:
    """Version 1 is the champion."""
    home.mkdir()
    with open_log(url_of(home)) as log:
        made = ControlPlane(home, ModelRegistry(lambda: registry_.client, home), log)
        made.submit(1, None, "pipeline")
        yield made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where `running` runs: each file of tests has its own."""
    return tmp_path_factory.mktemp("platform")


@pytest.fixture(scope="module")
def running(registered: Registry, folder: Path) -> Iterator[RunningPlatform]:
    """The platform as people run it; version 1 serves."""
    registered.client.set_registered_model_alias(MODEL, "champion", "1")
    with running_platform(folder) as running:
        running.wait_for_control()
        running.wait_until_ready()
        yield running


@pytest.fixture
def idle(running: RunningPlatform) -> Iterator[RunningPlatform]:
    """The running platform without an experiment, before and after the test."""
    yield running
    with PlatformClient.at(running.home, "operator") as operator:
        operator.post("/experiment/stop", reason="the test is over")
        assert operator.get("/status")["routes"]["champion"]["version"] == 1


@pytest.fixture(scope="session")
def plan() -> Plan:
    """Planned on two weeks of small differences."""
    days = pd.date_range("2013-02-15", periods=14, freq="D").strftime("%Y-%m-%d")
    return make_plan(pd.Series([0.01, -0.005] * 7, index=days))
