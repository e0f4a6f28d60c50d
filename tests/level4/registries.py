"""Registries for tests: MLflow's with three small versions, whole or in trouble, and one in memory."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient

from level3_training_pipeline import library_setup
from level3_training_pipeline.tracking import mlflow_runs
from level3_training_pipeline.tracking.registry import CHAMPION, RegistryError, Version
from level4_deployment.control.registry_client import GATES, ModelRegistry, UnavailableError
from level4_deployment.delivery import gates
from level4_deployment.delivery.packaging import publish
from level4_deployment.demo.candidates import TOO_FEW_TREES, register_by_hand
from level4_deployment.experiment.design import Plan, make_plan
from level4_deployment.serving.package import Package, PackageError
from shared.settings import Settings
from tests.support import environment

TODAY = date(2013, 3, 1)
MODEL = "flight-delays"


@dataclass(frozen=True)
class Registry:
    """Versions 1, 2 and 3 have 5, 10 and 20 trees."""

    settings: Settings
    client: MlflowClient


def champion(registry_: Registry) -> int:
    return int(registry_.client.get_registered_model(MODEL).aliases[CHAMPION])


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


@pytest.fixture
def registry_(registered: Registry) -> Registry:
    """The registry without any alias."""
    model = registered.client.get_registered_model(MODEL)
    for alias in dict(model.aliases):
        registered.client.delete_registered_model_alias(MODEL, alias)
    return registered


@pytest.fixture(scope="session")
def plan() -> Plan:
    """Planned on two weeks of small differences."""
    days = pd.date_range("2013-02-15", periods=14, freq="D").strftime("%Y-%m-%d")
    return make_plan(pd.Series([0.01, -0.005] * 7, index=days))


@contextmanager
def locked(file: Path) -> Iterator[None]:
    with closing(sqlite3.connect(file, isolation_level=None)) as database:
        database.execute("BEGIN EXCLUSIVE")
        yield
        database.execute("ROLLBACK")


@contextmanager
def replaced(file: Path, by: bytes | None) -> Iterator[None]:
    away = file.rename(file.with_suffix(".away"))
    if by is not None:
        file.write_bytes(by)
    try:
        yield
        assert by == (file.read_bytes() if file.exists() else None), "nobody has made a new one"
    finally:
        away.rename(file)


DOWN = {
    "locked": locked,
    "gone": lambda file: replaced(file, None),
    "garbage": lambda file: replaced(file, b"garbage" * 10_000),
}


@dataclass
class InMemoryRegistry(ModelRegistry):
    """Versions 1 to 5; 4 has failed a gate, and 5 was never at the gates.

    broken: versions without a whole package. pulled: versions whose package was verified, in this order.
    away: nothing can be read or written. read_only: no alias can be moved.
    """

    aliases: dict[str, int] = field(default_factory=dict)
    broken: set[int] = field(default_factory=set)
    pulled: list[int] = field(default_factory=list)
    away: bool = False
    read_only: bool = False

    def champion(self) -> Version | None:
        self._check()
        return self.version(self.aliases[CHAMPION]) if CHAMPION in self.aliases else None

    def version(self, number: int) -> Version:
        self._check()
        if number not in range(1, 6):
            raise RegistryError(f"VERSION={number}: there is no such version")
        tags = {GATES: json.dumps({"quality": {"passed": number < 4}})} if number < 5 else {}
        return Version(number, "run", tags)

    def set_alias(self, alias: str, number: int) -> None:
        self._check(writes=True)
        self.aliases[alias] = number

    def delete_alias(self, alias: str) -> None:
        self._check(writes=True)
        self.aliases.pop(alias, None)

    def pull(self, version: Version) -> Package:
        self._check()
        if version.number in self.broken:
            raise PackageError(f"version {version.number}: its file is not the one on record")
        self.pulled.append(version.number)
        return Package(version.number, {"model.onnx": str(version.number)})

    def _check(self, *, writes: bool = False) -> None:
        if self.away or (writes and self.read_only):
            raise UnavailableError("the registry cannot be used: it is away")
