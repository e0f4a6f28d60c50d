"""What tests of level 4 share; each test gets a platform's folder of its own."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa
from sklearn.pipeline import Pipeline

from level2_devops.model import fit
from level4_deployment.control.client import PlatformClient
from level4_deployment.control.control_plane import ControlPlane
from level4_deployment.control.platform_process import RunningPlatform, running_platform
from level4_deployment.control.registry_client import ModelRegistry
from level4_deployment.prediction_log import open_log, url_of
from tests.level4.registries import MODEL, Registry, plan, registered, registry_

__all__ = ["plan", "registered", "registry_"]  # fixtures that level 5 has, too


@pytest.fixture(scope="session")
def trained(known: pd.DataFrame) -> Pipeline:
    """A small model of January to March, for tests that need no registry."""
    return fit(known.iloc[::15], max_iter=20)


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
