"""A small real model and a running service, for all tests of level 2."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pandas as pd
import pytest

from level2_devops.model import ModelCard, fit, save
from tests.level2.running_service import Service, Starter


@pytest.fixture(scope="session")
def small_model(known: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model of 20 trees, fitted on every fifteenth flight of January to March, and its card."""
    folder = tmp_path_factory.mktemp("model")
    some = known.iloc[::15]
    save(fit(some, max_iter=20), ModelCard(float(some["late"].mean()), len(some), "2013-04-01"), folder)
    return folder


@pytest.fixture(scope="session")
def start_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Starter]:
    """Start the service with the model in a folder; those that still run at the end are stopped."""
    started: list[Service] = []

    def start(model: Path) -> Service:
        command = [sys.executable, "-m", "level2_devops.service", "--model", str(model), "--version", "1.2.3"]
        log = tmp_path_factory.mktemp("service") / "service.log"
        with log.open("w") as lines:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=lines, text=True)
        assert process.stdout
        ready = json.loads(process.stdout.readline())
        started.append(Service(process, ready, httpx.Client(base_url=ready["address"], timeout=20), log))
        return started[-1]

    yield start
    for service in started:
        service.client.close()
        service.process.terminate()
        service.process.communicate(timeout=20)


@pytest.fixture(scope="session")
def service(start_service: Starter, small_model: Path) -> Service:
    return start_service(small_model)
