"""A version is built again bit for bit, or the difference of the data is reported."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from level3_training_pipeline.orchestration.run_flow import run_flow
from level3_training_pipeline.pipeline.flow import training
from level3_training_pipeline.pipeline.reproduce import NotReproducibleError, reproduce
from level3_training_pipeline.tracking import registry
from level3_training_pipeline.tracking.registry import Version
from shared.data.raw import FILES, data_folder
from tests.level3.world import World


def test_a_version_is_built_again_bit_for_bit(world: World, trained: int) -> None:
    result = reproduce(str(trained), world.settings)
    assert (result.differing, result.largest) == (0, 0.0)
    assert result.rows > 40_000


@pytest.mark.slow
def test_a_version_that_was_averaged_with_the_champion_is_built_again_too(world: World, version: Version) -> None:
    """Its record names the champion. Trained again beside another one, it is another model."""
    registry.promote(world.client, version, "tester", "0.0.1")
    ask = "2013-03-20", 1, "test", (), True
    averaged = run_flow(world.server, training, *ask)
    mean = registry.get(world.client, str(averaged))
    assert mean.tags["averaged_with"] == str(version.number)
    trees = [len(registry.load_version(world.client, one).named_steps["trees"]._predictors) for one in (version, mean)]
    assert trees[1] == trees[0] + json.loads(mean.tags["parameters"])["max_iter"]
    result = reproduce(str(averaged), world.settings)
    assert (result.differing, result.largest) == (0, 0.0)
    registry.promote(world.client, mean, "tester", "0.0.2")
    assert run_flow(world.server, training, *ask) != averaged


def test_other_data_are_reported_instead_of_another_model(world: World, trained: int, tmp_path: Path) -> None:
    for name in FILES.values():
        shutil.copy(data_folder() / name, tmp_path)
    flights = pd.read_csv(tmp_path / FILES["flights"])
    flights.drop(index=100).to_csv(tmp_path / FILES["flights"], index=False)
    with pytest.raises(NotReproducibleError, match="digest") as refused:
        reproduce(str(trained), replace(world.settings, data=tmp_path))
    assert "Remedy" in str(refused.value)
