"""A control plane on a registry in memory, beside the level's `platform` on a real one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from level4_deployment.control.control_plane import ControlPlane
from level4_deployment.prediction_log import open_log
from tests.level4.registries import InMemoryRegistry


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
