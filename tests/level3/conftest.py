"""One state folder, one Prefect server and one training for all tests of level 3."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest
from mlflow import MlflowClient

from level3_training_pipeline.library_setup import set_up_libraries
from level3_training_pipeline.orchestration.prefect_server import PrefectServer, prefect_server
from shared.settings import Settings
from tests.support import environment

TODAY = "2013-03-01"


@dataclass(frozen=True)
class World:
    """A level 3 of the tests' own."""

    settings: Settings
    server: PrefectServer
    client: MlflowClient

    def train(self, today: str = TODAY, trials: int = 2, cause: str = "test") -> int:
        """Run the real flow; returns the version."""
        from level3_training_pipeline.orchestration.run_flow import run_training

        return run_training(self.server, today, trials, cause)


@pytest.fixture(scope="package")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A state folder with nothing in it yet, and a server."""
    settings = Settings(today=date.fromisoformat(TODAY), data=None, state=Path(tmp_path_factory.mktemp("level3")))
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
