"""Tuning and evaluation: no flight is scored by a model that has seen it, and no machine changes the result."""

from dataclasses import replace

import pandas as pd
import pytest

from level2_devops.features import features
from level3_training_pipeline.pipeline import data, tune
from level3_training_pipeline.pipeline.evaluate import Champion, evaluate
from level3_training_pipeline.pipeline.tune import Trial

NOW = pd.Timestamp("2013-04-01", tz="America/New_York")


@pytest.fixture(scope="module")
def table(known: pd.DataFrame) -> pd.DataFrame:
    """Every sixth flight of January to March, as the pipeline's features file has them."""
    some = known.iloc[::6].reset_index(drop=True)
    return pd.concat([some[data.KEPT], features(some)], axis=1)


def test_the_number_of_cores_changes_no_trial(table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    reported: dict[int, list[Trial]] = {}
    for cores in (1, 3):
        monkeypatch.setattr(tune.os, "cpu_count", lambda cores=cores: cores)
        reported[cores] = []
        tune.tune(table, NOW, 6, reported[cores].append)
    assert reported[1] == reported[3]
    assert len({str(trial.parameters) for trial in reported[1]}) == 6


def test_a_first_trial_outside_the_search_space_is_reported_and_tried_all_the_same(
    table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tune, "START", tune.START | {"max_iter": 10})
    reported: list[Trial] = []
    tune.tune(table, NOW, 2, reported.append)
    assert [trial.parameters["max_iter"] for trial in reported] == [10, 160]
    assert capsys.readouterr().out == "  START has max_iter 10, outside the search space: 100 to 160\n"


def test_a_single_trial_has_no_other_to_beat_and_is_fitted_to_nothing(
    table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fits(*_: object, **__: object) -> None:
        raise AssertionError("it costs seconds, and chooses nothing")

    monkeypatch.setattr(tune, "fit_features", fits)
    reported: list[Trial] = []
    assert tune.tune(table, NOW, 1, reported.append) == reported[0] == Trial(0, tune.START, None)


def test_the_champion_is_not_judged_on_flights_it_has_seen(table: pd.DataFrame) -> None:
    fit_on, *_, test = data.windows(table, NOW)
    model = tune.fit_features(fit_on[tune.CATEGORIES + tune.NUMBERS], fit_on["late"], max_iter=10)
    honest = Champion(model, NOW - pd.Timedelta(days=14))
    has_seen = replace(honest, now=NOW - pd.Timedelta(days=3))
    assert evaluate(table, NOW, {"max_iter": 10}, honest).scores["champion"].rows == len(test)
    assert "champion" not in evaluate(table, NOW, {"max_iter": 10}, has_seen).scores
