"""The model: saved without pickle, refused when damaged, and behaving as expected."""

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.preprocessing import FunctionTransformer

from level2_devops.model import ModelCard, ModelError, fit, load, predict, save
from shared.artefacts import MODEL_CARD, MODEL_FILE
from shared.score import score


def test_saved_and_loaded_it_predicts_the_same_bits(small_model: Path, later: pd.DataFrame, tmp_path: Path) -> None:
    model, card = load(small_model)
    save(model, card, tmp_path)
    again, card_again = load(tmp_path)
    assert np.array_equal(predict(model, later.head(2_000)), predict(again, later.head(2_000)))
    assert card == card_again


def test_the_same_flights_give_the_same_model(known: pd.DataFrame) -> None:
    some = known.iloc[::40]
    first, second = fit(some, max_iter=10), fit(some, max_iter=10)
    assert np.array_equal(predict(first, some), predict(second, some))


@pytest.mark.parametrize("damage", ["cut", "missing"])
def test_a_damaged_model_is_refused_by_name(small_model: Path, tmp_path: Path, damage: str) -> None:
    model, card = load(small_model)
    save(model, card, tmp_path)
    if damage == "cut":
        whole = (tmp_path / MODEL_FILE).read_bytes()
        (tmp_path / MODEL_FILE).write_bytes(whole[: len(whole) // 2])
    else:
        (tmp_path / MODEL_FILE).unlink()
    with pytest.raises(ModelError, match=str(tmp_path)):
        load(tmp_path)


def test_a_type_that_is_not_trusted_is_refused_and_never_runs(tmp_path: Path) -> None:
    payload = FunctionTransformer(func=json.loads)
    skops.io.dump(payload, tmp_path / MODEL_FILE)
    (tmp_path / MODEL_CARD).write_text(json.dumps(ModelCard(0.2, 10, "2013-04-01").__dict__))
    with pytest.raises(ModelError, match=r"json.*loads"):
        load(tmp_path)


def test_the_file_holds_no_pickle(small_model: Path) -> None:
    names = zipfile.ZipFile(small_model / MODEL_FILE).namelist()
    assert "schema.json" in names
    assert not [name for name in names if name.endswith((".pkl", ".pickle"))]


@pytest.mark.parametrize("base_rate", ["1.7", "-0.1", "NaN", '"0.2"', "null"])
def test_a_card_without_a_probability_is_refused(small_model: Path, tmp_path: Path, base_rate: str) -> None:
    shutil.copytree(small_model, tmp_path / "model")
    card = f'{{"base_rate": {base_rate}, "rows": 5000, "trained_as_of": "2013-04-01"}}'
    (tmp_path / "model" / MODEL_CARD).write_text(card)
    with pytest.raises(ModelError, match=r"model\.json is garbled .* Remedy: train again"):
        load(tmp_path / "model")


# How a model of delays must behave, whatever its parameters.


def test_it_beats_the_base_rate_on_flights_that_came_after(small_model: Path, later: pd.DataFrame) -> None:
    model, card = load(small_model)
    some = later.iloc[::20]
    scored = score(some["late"], predict(model, some))
    assert scored.log_loss < score(some["late"], np.full(len(some), card.base_rate)).log_loss
    assert scored.auc > 0.7


def test_direction_more_delay_at_the_airport_means_more_risk(small_model: Path, later: pd.DataFrame) -> None:
    model, _ = load(small_model)
    some = later.iloc[::200]
    delays = ["airport_delay_1h", "airport_delay_3h", "carrier_delay_4h", "arrival_delay_6h"]
    calm, storm = some.assign(**dict.fromkeys(delays, 0.0)), some.assign(**dict.fromkeys(delays, 90.0))
    assert predict(model, storm).mean() > predict(model, calm).mean() + 0.1


def test_invariance_what_is_not_a_feature_changes_nothing(small_model: Path, later: pd.DataFrame) -> None:
    model, _ = load(small_model)
    some = later.head(500)
    other = some.assign(flight_id="x", arrival_delay=999.0, late=1.0, label_known_at=None)
    assert np.array_equal(predict(model, some), predict(model, other))


def test_minimum_functionality_it_answers_when_all_weather_and_delays_are_missing(
    small_model: Path, later: pd.DataFrame
) -> None:
    model, _ = load(small_model)
    some = later.head(100)
    nothing = [str(name) for name in some.select_dtypes("float") if name not in {"distance", "airport_departures_1h"}]
    chances = predict(model, some.assign(**dict.fromkeys(nothing, np.nan)))
    assert ((chances > 0) & (chances < 1)).all()
