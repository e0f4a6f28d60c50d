"""A control plane on a registry in memory, beside the level's `platform` on a real one."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from level3_training_pipeline.tracking.registry import CHAMPION, RegistryError, Version
from level4_deployment.control.control_plane import ControlPlane
from level4_deployment.control.registry_client import GATES, ModelRegistry, UnavailableError
from level4_deployment.prediction_log import open_log
from level4_deployment.serving.package import Package, PackageError
from level4_deployment.serving.routes import read_routes


@dataclass
class InMemoryRegistry(ModelRegistry):
    """Versions 1 to 5; 4 has failed a gate, and 5 was never at the gates.

    broken: versions without a whole package. away: nothing can be read or written. read_only: no alias can be moved.
    """

    aliases: dict[str, int] = field(default_factory=dict)
    broken: set[int] = field(default_factory=set)
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
        return Package(version.number, {"model.onnx": str(version.number)})

    def _check(self, *, writes: bool = False) -> None:
        if self.away or (writes and self.read_only):
            raise UnavailableError("the registry cannot be used: it is away")


def served(platform: ControlPlane) -> tuple[int, int | None, float | None]:
    """Champion, challenger and share, as the workers read them."""
    routes = read_routes(platform.home)
    assert routes
    challenger, split = routes.challenger, routes.split
    return routes.champion.version, challenger.version if challenger else None, split.share if split else None


@pytest.fixture
def registry() -> InMemoryRegistry:
    """No version is the champion yet."""
    return InMemoryRegistry()


@pytest.fixture
def in_memory(registry: InMemoryRegistry, tmp_path: Path) -> Iterator[ControlPlane]:
    """Version 1 is the champion."""
    with open_log("sqlite://") as log:
        made = ControlPlane(tmp_path, registry, log)
        made.submit(1, None, "pipeline")
        yield made
