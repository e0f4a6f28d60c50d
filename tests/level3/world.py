"""A level 3 of the tests' own: its state folder, its Prefect server, its registry."""

from dataclasses import dataclass

from mlflow import MlflowClient

from level3_training_pipeline.orchestration.prefect_server import PrefectServer
from shared.settings import Settings

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
