"""The pipeline from end to end, on the real flights of January and February."""

import base64
import json
import pickle
import re
import shutil
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID

import mlflow
import pandas as pd
import pytest
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings

from level3_training_pipeline.orchestration.run_flow import run_flow, run_training
from level3_training_pipeline.pipeline import data, flow, record
from level3_training_pipeline.pipeline.flow import training
from level3_training_pipeline.pipeline.reproduce import reproduce
from level3_training_pipeline.pipeline.tune import Trial
from level3_training_pipeline.tracking import lineage, mlflow_runs, registry
from level3_training_pipeline.tracking.registry import Version
from shared.artefacts import MODEL_FILE
from shared.data.schema import FLIGHT, DataError
from shared.files import write_parquet
from tests.level3.world import TODAY, World


def test_a_training_makes_a_version_with_its_lineage_and_prefect_knows_the_run(world: World, version: Version) -> None:
    assert version.tags["today"] == TODAY
    assert version.tags["cause"] == "test"
    assert len(version.tags["commit"]) >= 40
    for name in ("data_digest", "code_digest", "requirements_sha256", "model_sha256"):
        assert len(version.tags[name]) == 64, name
    inputs = world.client.get_run(version.run_id).inputs
    assert inputs
    assert [entry.dataset.digest for entry in inputs.dataset_inputs] == [version.tags["data_digest"][:36]]
    with temporary_settings({PREFECT_API_URL: world.server.api}), get_client(sync_client=True) as prefect:
        assert prefect.read_flow_run(UUID(version.tags["prefect_flow_run"])).state_name == "Completed"


def test_every_trial_can_be_queried_back_with_data_code_and_environment(world: World, version: Version) -> None:
    training = world.client.get_run(version.run_id)
    trials = mlflow_runs.runs(world.client, f"tags.`mlflow.parentRunId` = '{version.run_id}'")
    assert len(trials) == 2
    assert all(re.fullmatch(r"trial \d: \d+ trees, learning rate 0\.\d\d", run.info.run_name) for run in trials)
    best = min(trials, key=lambda run: run.data.metrics["validation_log_loss"])
    assert {name: training.data.params[name] for name in best.data.params} == best.data.params
    assert training.inputs
    for trial in trials:
        record = lineage.unbundle(trial.data.tags)
        assert record["today"] == TODAY
        assert record.items() >= {**lineage.environment(), "code_digest": lineage.code_digest()}.items()
        assert (record["data_digest"], record["commit"]) == (version.tags["data_digest"], version.tags["commit"])
        assert trial.inputs
        assert trial.inputs.dataset_inputs == training.inputs.dataset_inputs
    (dataset,) = (entry.dataset for entry in training.inputs.dataset_inputs)
    columns = {column["name"]: column for column in json.loads(dataset.schema or "")["mlflow_colspec"]}
    assert set(columns) == set(FLIGHT.columns)
    assert not columns["wind_gust"]["required"]
    assert columns["carrier"] == {"type": "string", "name": "carrier", "required": True}


def test_the_candidate_is_compared_with_baselines_and_by_slice(world: World, version: Version) -> None:
    metrics = world.client.get_run(version.run_id).data.metrics
    assert metrics["test_log_loss"] < metrics["logistic_regression_log_loss"] < metrics["base_rate_log_loss"]
    assert metrics["test_rows"] == metrics["base_rate_rows"] > 10_000
    assert {"origin_EWR_log_loss", "origin_JFK_log_loss", "origin_LGA_log_loss", "carrier_UA_log_loss"} <= set(metrics)
    kept = {artefact.path for artefact in world.client.list_artifacts(version.run_id)}
    assert {"calibration.png", "slices.png", "scores.png", "by_origin.csv", "by_carrier.csv"} <= kept


def test_nothing_changed_means_no_new_version_and_how_to_train_all_the_same(
    world: World, trained: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert world.train() == trained
    assert "(make level3 AGAIN=1 trains it all the same)" in " ".join(capsys.readouterr().out.split())


@pytest.mark.slow
def test_two_dates_make_two_models_and_the_later_meets_the_champion(world: World, version: Version) -> None:
    registry.promote(world.client, version, "tester", "0.0.1")
    later = registry.get(world.client, str(world.train("2013-03-20")))
    assert later.tags["model_sha256"] != version.tags["model_sha256"]
    metrics = world.client.get_run(later.run_id).data.metrics
    assert metrics["champion_rows"] == metrics["test_rows"]


def test_a_step_that_fails_once_is_tried_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    gather = data.gather

    def fails_once(*words: Any) -> data.Snapshot:
        calls.append(1)
        if len(calls) == 1:
            raise OSError("the share was away for a moment")
        return gather(*words)

    monkeypatch.setattr(data, "gather", fails_once)
    assert world.train() > 0
    assert len(calls) == 2


@pytest.mark.slow
def test_a_version_whose_files_are_damaged_is_trained_again(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Also where it is the champion, with which it would be compared."""
    today = "2013-03-05"
    damaged = registry.get(world.client, str(world.train(today, trials=1)))
    champion = registry.by_alias(world.client, registry.CHAMPION)
    world.client.set_registered_model_alias(registry.MODEL, registry.CHAMPION, str(damaged.number))
    folder = registry.artefacts(world.client, damaged)
    try:
        (folder / MODEL_FILE).write_bytes(b"")
        made = world.train(today, trials=1)
        printed = " ".join(capsys.readouterr().out.split())
        assert made > damaged.number
        assert f"version {damaged.number}: {folder / MODEL_FILE} has SHA-256 " in printed
        assert "It is trained again, as a new version." in printed
        assert "The champion is left out of this training." in printed
        assert registry.load_version(world.client, registry.get(world.client, str(made)))
        assert world.train(today, trials=1) == made
    finally:
        world.client.delete_registered_model_alias(registry.MODEL, registry.CHAMPION)
        if champion:
            world.client.set_registered_model_alias(registry.MODEL, registry.CHAMPION, str(champion.number))


DAY_OF_ITS_OWN = "2013-03-02"  # what was trained before is not trained again


@pytest.mark.slow
def test_a_tuning_that_failed_leaves_no_trial_twice_on_record(
    world: World, trained: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    record_trial, calls = record.record_trial, []

    def fails_once(parent: str, trial: Trial) -> None:
        calls.append(1)
        if len(calls) == 2:
            raise OSError("the disk was full for a moment")
        record_trial(parent, trial)

    monkeypatch.setattr(record, "record_trial", fails_once)
    with pytest.raises(OSError, match="full"):
        world.train(DAY_OF_ITS_OWN, trials=3)
    version = registry.get(world.client, str(world.train(DAY_OF_ITS_OWN, trials=3)))
    shutil.rmtree(world.settings.level("level3") / "data")  # what can be made again is not missed
    assert world.train(DAY_OF_ITS_OWN, trials=3) == version.number
    tuned_by = world.client.get_run(version.run_id).data.tags["tuned_by"]
    trials = mlflow_runs.runs(world.client, f"tags.`mlflow.parentRunId` = '{tuned_by}'")
    assert sorted((run.info.run_name or "").partition(":")[0] for run in trials) == ["trial 0", "trial 1", "trial 2"]


def test_bad_data_stop_the_run_at_once_and_say_what_to_do(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gather = data.gather
    calls = []

    def spoilt(*words: Any) -> data.Snapshot:
        calls.append(1)
        snapshot = gather(*words)
        table = pd.read_parquet(snapshot.file).drop(columns="carrier")
        file = snapshot.file.with_name("spoilt.parquet")
        write_parquet(table, file)
        return data.Snapshot(file, "0" * 64, snapshot.rows, snapshot.now, snapshot.raw)

    monkeypatch.setattr(data, "gather", spoilt)
    before = len(world.client.search_model_versions())
    with pytest.raises(DataError, match="no column carrier"):
        world.train()
    assert len(calls) == 1
    assert len(world.client.search_model_versions()) == before
    printed = capsys.readouterr().out
    assert "step 'validate' failed" in printed
    assert "give the same command again" in printed


@pytest.mark.slow
def test_a_model_that_knows_the_answer_is_recorded_but_not_registered(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_features = data.build_features

    def leaking(snapshot: data.Snapshot) -> Path:
        file = build_features(snapshot)
        table = pd.read_parquet(file)
        leaks = table.assign(dest_delay_12h=table["late"] * 60).astype({"dest_delay_12h": "float32"})
        write_parquet(leaks, file.with_name("leaking.parquet"))
        return file.with_name("leaking.parquet")

    monkeypatch.setattr(data, "build_features", leaking)
    before = len(world.client.search_model_versions())
    with pytest.raises(DataError, match=r"log loss 0\.0\d+ .* too good to be true.*Remedy"):
        world.train("2013-03-03", trials=1)
    assert len(world.client.search_model_versions()) == before
    assert min(run.data.metrics.get("test_log_loss", 1) for run in mlflow_runs.runs(world.client, "")) < 0.1


@pytest.mark.slow
def test_a_training_without_days_in_doubt_has_them_on_record(world: World) -> None:
    days = ["2013-02-20", "2013-02-26"]
    number = run_flow(world.server, training, "2013-03-04", 1, "test", days)
    version = registry.get(world.client, str(number))
    assert version.tags["days_left_out"] == "2013-02-20 2013-02-26"
    assert 1_500 < int(version.tags["rows_left_out"]) < 2_000
    kept = pd.read_csv(mlflow.artifacts.download_artifacts(f"runs:/{version.run_id}/by_day.csv"))
    assert not set(kept["day"]) & set(days)
    assert reproduce(str(number), world.settings).differing == 0


class Malicious:
    """What its pickle stores instead of the object: a call that is made when it is loaded."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.trace,)


@pytest.mark.slow
def test_no_file_of_the_state_is_loaded_as_a_pickle(world: World, tmp_path: Path) -> None:
    """Prefect would load a result by the serializer that the result's own file names; the tuning is read as JSON."""
    today, payload = date(2013, 3, 11), pickle.dumps(Malicious(tmp_path / "it ran"))
    snapshot = data.gather(replace(world.settings, today=today))
    key = flow.training_key(snapshot, 1)
    results = world.settings.level("level3") / "prefect" / "results"
    results.mkdir(exist_ok=True)
    metadata = {"storage_key": f"tune-{key}", "serializer": {"type": "pickle"}}
    result = {"metadata": metadata, "result": base64.encodebytes(payload).decode()}
    (results / f"tune-{key}").write_text(json.dumps(result))
    snapshot.file.with_name(f"tuned-{key[:16]}.json").write_bytes(payload)
    assert world.train(str(today), trials=1)
    assert not (tmp_path / "it ran").exists()
    shutil.rmtree(results)
    pickled = re.compile(rb"\x80[\x02-\x05]|.*gA[RSQ]")  # plain, and in base64 in a line of JSON
    assert [
        file for file in world.settings.state.rglob("*") if file.is_file() and pickled.match(file.read_bytes())
    ] == []


@pytest.mark.slow
def test_a_training_that_is_wanted_again_makes_another_version_of_the_same_choice(
    world: World, version: Version
) -> None:
    again = registry.get(world.client, str(run_training(world.server, TODAY, 2, again=True)))
    assert again.number != version.number
    assert again.run_id != version.run_id
    assert again.tags["parameters"] == version.tags["parameters"]
