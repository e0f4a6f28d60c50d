"""One state folder, one Prefect server and one training for all tests of level 3."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from level3_training_pipeline.library_setup import set_up_libraries
from level3_training_pipeline.orchestration.prefect_server import prefect_server
from shared.settings import Settings
from tests.level3.world import TODAY, World
from tests.support import environment, lend_flights

if TYPE_CHECKING:
    from level3_training_pipeline.tracking.registry import Version


@pytest.fixture(scope="package")
def world(tmp_path_factory: pytest.TempPathFactory, flights: pd.DataFrame) -> Iterator[World]:
    """A state folder with nothing but the flights in it yet, and a server."""
    settings = Settings(today=date.fromisoformat(TODAY), data=None, state=Path(tmp_path_factory.mktemp("level3")))
    lend_flights(settings.state)
    with environment(MLOPS_STATE=str(settings.state), TODAY=TODAY):
        set_up_libraries(settings)
        with prefect_server(settings) as server:
            from level3_training_pipeline.tracking.mlflow_runs import open_tracking

            client = open_tracking(settings)
            server.wait()
            yield World(settings, server, client)


@pytest.fixture(scope="package")
def trained(world: World) -> int:
    """The version made by a training as of 1 March 2013 with two trials."""
    return world.train()


@pytest.fixture
def version(world: World, trained: int) -> "Version":
    """That version, as the registry has it."""
    from level3_training_pipeline.tracking import registry

    return registry.get(world.client, str(trained))
