"""A small real model and a running service, for all tests of level 2."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest

from level2_devops.model import ModelCard, fit, save
from shared.data.schema import KNOWN_BEFORE


@pytest.fixture(scope="session")
def small_model(known: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model of 20 trees, fitted on every fifteenth flight of January to March, and its card."""
    folder = tmp_path_factory.mktemp("model")
    some = known.iloc[::15]
    save(fit(some, max_iter=20), ModelCard(float(some["late"].mean()), len(some), "2013-04-01"), folder)
    return folder


def as_request(flight: pd.Series) -> dict[str, Any]:
    """A flight as its request: instants in ISO 8601, what is missing left out."""
    known = flight[list(KNOWN_BEFORE)].dropna()
    return {str(name): value.isoformat() if isinstance(value, pd.Timestamp) else value for name, value in known.items()}


@dataclass
class Service:
    """A service process of its own, and a client for it."""

    process: "subprocess.Popen[str]"
    told: dict[str, str]  # its ready line
    client: httpx.Client
    log: Path

    def metric(self, line: str) -> float:
        """The value of one line of /metrics."""
        found = [row for row in self.client.get("/metrics").text.splitlines() if row.startswith(line + " ")]
        return float(found[0].split()[-1]) if found else 0.0


Starter = Callable[[Path], Service]


@pytest.fixture(scope="session")
def start_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Starter]:
    """Start services; what still runs at the end is ended."""
    started: list[Service] = []

    def start(model: Path) -> Service:
        command = [sys.executable, "-m", "level2_devops.service", "--model", str(model), "--version", "1.2.3"]
        log = tmp_path_factory.mktemp("service") / "service.log"
        with log.open("w") as lines:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=lines, text=True)
        assert process.stdout
        told = json.loads(process.stdout.readline())
        service = Service(process, told, httpx.Client(base_url=told["address"], timeout=20), log)
        started.append(service)
        return service

    yield start
    for service in started:
        service.client.close()
        service.process.terminate()
        service.process.communicate(timeout=20)


@pytest.fixture(scope="session")
def service(start_service: Starter, small_model: Path) -> Service:
    """One service that most tests ask."""
    return start_service(small_model)
