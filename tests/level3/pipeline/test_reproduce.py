"""A version is built again bit for bit, or the difference of the data is reported."""

import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from level3_training_pipeline.pipeline.reproduce import NotReproducibleError, reproduce
from shared.data.raw import FILES, data_folder
from tests.level3.world import World


def test_a_version_is_built_again_bit_for_bit(world: World, trained: int) -> None:
    result = reproduce(str(trained), world.settings)
    assert (result.differing, result.largest) == (0, 0.0)
    assert result.rows > 40_000


def test_other_data_are_reported_instead_of_another_model(world: World, trained: int, tmp_path: Path) -> None:
    for name in FILES.values():
        shutil.copy(data_folder() / name, tmp_path)
    flights = pd.read_csv(tmp_path / FILES["flights"])
    flights.drop(index=100).to_csv(tmp_path / FILES["flights"], index=False)
    with pytest.raises(NotReproducibleError, match="digest") as refused:
        reproduce(str(trained), replace(world.settings, data=tmp_path))
    assert "Remedy" in str(refused.value)
