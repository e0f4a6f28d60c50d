"""A small real model and a running service, for all tests of level 2."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from level2_devops.model import ModelCard, fit, save
from tests.level2.services import Service, Starter, start_service_process, stop


@pytest.fixture(scope="session")
def small_model(known: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model of 20 trees, fitted on every fifteenth flight of January to March, and its card."""
    folder = tmp_path_factory.mktemp("model")
    some = known.iloc[::15]
    save(fit(some, max_iter=20), ModelCard(float(some["late"].mean()), len(some), "2013-04-01"), folder)
    return folder


@pytest.fixture(scope="session")
def start_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Starter]:
    """Start services; those that still run at the end are stopped."""
    started: list[Service] = []

    def start(model: Path) -> Service:
        started.append(start_service_process(model, tmp_path_factory.mktemp("service") / "service.log"))
        return started[-1]

    yield start
    for service in started:
        stop(service)


@pytest.fixture(scope="session")
def service(start_service: Starter, small_model: Path) -> Service:
    """The service that most tests use."""
    return start_service(small_model)
