"""The steps before and around training, each by itself."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from level2_devops.features import features
from level3_training_pipeline import demo
from level3_training_pipeline.pipeline import data, tune
from level3_training_pipeline.pipeline.evaluate import Champion, evaluate
from level3_training_pipeline.pipeline.tune import Trial, windows
from level3_training_pipeline.tracking import lineage
from shared.data.schema import DataError
from shared.settings import Settings

NOW = pd.Timestamp("2013-04-01", tz="America/New_York")
GAP = NOW - pd.Timedelta(days=43), NOW - pd.Timedelta(days=14)


@pytest.fixture(scope="module")
def table(known: pd.DataFrame) -> pd.DataFrame:
    """Every sixth flight of January to March, as the pipeline's features file has them."""
    some = known.iloc[::6].reset_index(drop=True)
    return pd.concat([some[data.KEPT], features(some)], axis=1)


def snapshot_of(flights: pd.DataFrame, folder: Path) -> data.Snapshot:
    file = folder / "history.parquet"
    flights.to_parquet(file)
    return data.Snapshot(file, "0" * 64, len(flights), NOW, {})


def test_no_flight_that_judges_was_known_when_its_model_was_fitted(table: pd.DataFrame) -> None:
    fit_on, judge_on, before_test, test = windows(table, NOW)
    assert fit_on["label_known_at"].max() < judge_on["predicted_at"].min()
    assert before_test["label_known_at"].max() < test["predicted_at"].min()
    assert not set(judge_on["flight_id"]) & set(test["flight_id"])
    assert min(map(len, (fit_on, judge_on, before_test, test))) > 1_000


def test_the_number_of_cores_changes_no_trial(table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[int, list[Trial]] = {}
    for cores in (1, 3):
        monkeypatch.setattr(tune.os, "cpu_count", lambda cores=cores: cores)
        told[cores] = []
        tune.tune(table, NOW, 6, told[cores].append)
    assert told[1] == told[3]
    assert len({str(trial.parameters) for trial in told[1]}) == 6


def test_the_champion_is_not_judged_on_flights_it_has_seen(table: pd.DataFrame) -> None:
    fit_on, *_, test = windows(table, NOW)
    model = tune.fit_features(fit_on[tune.CATEGORIES + tune.NUMBERS], fit_on["late"], max_iter=10)
    honest = Champion("1", model, NOW - pd.Timedelta(days=14))
    has_seen = replace(honest, now=NOW - pd.Timedelta(days=3))
    assert evaluate(table, NOW, {"max_iter": 10}, honest).scores["champion"].rows == len(test)
    assert "champion" not in evaluate(table, NOW, {"max_iter": 10}, has_seen).scores


def test_gathering_twice_gives_the_same_data(settings: Settings) -> None:
    first, second = data.gather(settings), data.gather(settings)
    assert first == second
    assert pd.read_parquet(first.file)["label_known_at"].max() < settings.now


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda flights: flights.assign(temp=flights["temp"].where(flights.index != 40, 412.0)), "temp: 1 of"),
        (lambda flights: flights.drop(columns="dest"), "no column dest"),
        (lambda flights: flights.head(500), "500 labelled flights"),
        (lambda flights: flights[flights["label_known_at"] < NOW - pd.Timedelta(days=3)], "newest label is 3 days"),
        (
            lambda flights: flights[flights["label_known_at"] > NOW - pd.Timedelta(days=40)],
            "no labelled flight to tune on",
        ),
        (lambda flights: flights[~flights["predicted_at"].between(*GAP)], "no labelled flight to validate on"),
        (lambda flights: flights.assign(late=0.0), "every flight ended alike"),
        (lambda flights: pd.concat([flights, flights.tail(1)], ignore_index=True), "flight_id"),
    ],
)
def test_unsound_data_are_refused(known: pd.DataFrame, tmp_path: Path, spoil: object, said: str) -> None:
    flights = known.iloc[::3].reset_index(drop=True)
    data.validate(snapshot_of(flights, tmp_path))
    with pytest.raises(DataError, match=said) as refused:
        data.validate(snapshot_of(spoil(flights), tmp_path))  # type: ignore[operator]
    assert "Remedy" in str(refused.value)


def test_the_features_file_holds_what_level_2_computes(settings: Settings, known: pd.DataFrame) -> None:
    table = pd.read_parquet(data.build_features(data.gather(settings)))
    expected = features(known)
    assert np.array_equal(table[expected.columns[3:]], expected.iloc[:, 3:], equal_nan=True)


def test_a_single_trial_has_no_other_to_beat_and_is_fitted_to_nothing(
    table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fits(*_: object, **__: object) -> None:
        raise AssertionError("it costs seconds, and chooses nothing")

    monkeypatch.setattr(tune, "fit_features", fits)
    told: list[Trial] = []
    assert tune.tune(table, NOW, 1, told.append) == told[0] == Trial(0, tune.START, None)


def test_the_story_shows_what_only_this_levels_gate_stops(settings: Settings) -> None:
    said = demo.stale_labels_stop(data.gather(settings))
    assert "the newest label is 3 days" in said
    assert "Remedy: repair the label feed." in said


def test_other_code_makes_features_of_its_own(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = data.gather(settings)
    before = data.build_features(snapshot)
    monkeypatch.setattr(lineage, "code_digest", lambda: "f" * 64)
    assert data.build_features(snapshot) != before
    assert before.exists()
