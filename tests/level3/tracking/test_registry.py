"""Versions: whole, unchanged, and loadable elsewhere."""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import psutil
import pytest
from mlflow.exceptions import MlflowException

from level2_devops.features import CATEGORIES, NUMBERS, features
from level2_devops.model import predict
from level3_training_pipeline.tracking import lineage, mlflow_runs, registry
from level3_training_pipeline.tracking.registry import RegistryError, Version
from tests.level3.world import World

ELSEWHERE = """
import sys, mlflow, numpy as np, pandas as pd
model = mlflow.pyfunc.load_model(sys.argv[1])
assert not [name for name in sys.modules if name.startswith(("level", "shared"))]
np.save("predicted.npy", model.predict(pd.read_parquet("features.parquet"))[:, 1])
"""


@pytest.mark.parametrize(("moved", "status"), [(20.0, "RUNNING"), (-3600.0, "KILLED")])
def test_a_clock_that_was_set_makes_no_crash_of_a_training_that_runs(world: World, moved: float, status: str) -> None:
    experiment = world.client.get_experiment_by_name(mlflow_runs.EXPERIMENT)
    assert experiment
    process = f"{os.getpid()}:{psutil.Process().create_time() + moved}"
    run_id = world.client.create_run(experiment.experiment_id, tags={"process": process}).info.run_id
    mlflow_runs.open_tracking(world.settings)
    assert world.client.get_run(run_id).info.status == status
    world.client.delete_run(run_id)


@pytest.mark.parametrize("damage", ["one byte more", "missing"])
@pytest.mark.parametrize("name", registry.FILES)
def test_a_damaged_file_of_a_version_is_refused(world: World, version: Version, name: str, damage: str) -> None:
    file = registry.artefacts(world.client, version) / name
    kept = file.read_bytes()
    try:
        if damage == "missing":
            file.unlink()
        else:
            file.write_bytes(kept + b"x")
        with pytest.raises(RegistryError, match=rf"^version {version.number}: .*{file}.* Remedy: .*train again"):
            registry.load_version(world.client, version)
    finally:
        file.write_bytes(kept)
    assert registry.load_version(world.client, version)


def test_it_predicts_in_a_folder_without_this_repository(
    world: World, version: Version, known: pd.DataFrame, tmp_path: Path
) -> None:
    folder = registry.artefacts(world.client, version)
    shutil.copytree(folder, tmp_path / "model")
    features(known.head(1_000)).to_parquet(tmp_path / "features.parquet")
    subprocess.run([sys.executable, "-I", "-c", ELSEWHERE, "model"], cwd=tmp_path, check=True)
    here = predict(registry.load_version(world.client, version), known.head(1_000))
    assert np.array_equal(np.load(tmp_path / "predicted.npy"), here)


def test_it_records_its_columns_an_example_and_what_it_needs(
    world: World, version: Version, known: pd.DataFrame
) -> None:
    folder = registry.artefacts(world.client, version)
    model = mlflow.pyfunc.load_model(str(folder))
    signature, example = model.metadata.signature, model.input_example
    assert signature.inputs.input_names() == CATEGORIES + NUMBERS == list(example)
    assert signature.inputs.required_input_names() == CATEGORIES + NUMBERS
    assert {str(kind) for kind in signature.inputs.input_types()[3:]} == {"DataType.float"}
    assert model.predict(example).shape == (len(example), 2)
    table = features(known.head(100))
    assert table["wind_gust"].isna().any()  # what is not known of a flight is no fault
    assert model.predict(table).shape == (100, 2)
    with pytest.raises(MlflowException, match="temp"):
        model.predict(table.drop(columns="temp"))
    needs = (folder / "requirements.txt").read_text().split()
    assert needs == [f"mlflow=={mlflow.__version__}", *lineage.requirements()]
    assert version.tags["python"] == platform.python_version()
    assert version.tags["platform"] == platform.platform()


def test_a_promotion_is_on_record_and_one_cut_short_leaves_the_right_champion(
    world: World, version: Version, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_short(*_: object) -> None:
        raise OSError("the disk is full")

    uri = str(world.client.get_model_version(registry.MODEL, str(version.number)).source)
    other = registry.register(world.client, uri, version.run_id, version.tags)
    registry.promote(world.client, version, "Ada", "1.2.3")
    champion = registry.by_alias(world.client, registry.CHAMPION)
    assert champion
    assert (champion.number, champion.tags["release"]) == (version.number, "1.2.3")
    monkeypatch.setattr(world.client, "set_model_version_tag", cut_short)
    with pytest.raises(OSError, match="disk"):
        registry.promote(world.client, other, "Ada", "1.2.4")
    monkeypatch.undo()
    assert registry.by_alias(world.client, registry.CHAMPION) == registry.get(world.client, str(other.number))
    registry.promote(world.client, version, "Ada", "1.2.3")
