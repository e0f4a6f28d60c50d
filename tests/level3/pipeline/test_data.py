"""Gather, validate, build features: what a training learns from, and what the data gate refuses."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from level2_devops.features import features
from level3_training_pipeline.pipeline import data
from level3_training_pipeline.tracking import lineage
from shared.data.schema import DataError
from shared.data.split import history
from shared.files import write_parquet
from shared.settings import Settings
from tests.support import lend_flights

NOW = pd.Timestamp("2013-04-01", tz="America/New_York")
GAP = NOW - pd.Timedelta(days=43), NOW - pd.Timedelta(days=14)


@pytest.fixture
def settings(settings: Settings, flights: pd.DataFrame) -> Settings:
    """The test's own, with the project's cache of the flights."""
    lend_flights(settings.state)
    return settings


def test_of_a_long_history_the_recent_flights_are_whole_and_the_others_drawn_alike(
    flights: pd.DataFrame, settings: Settings
) -> None:
    october = replace(settings, today=date(2013, 10, 1))
    now, snapshot = october.now, data.gather(october)
    known, drawn = history(flights, now), data.read(snapshot.file)
    recent = known["predicted_at"] >= now - data.WHOLE
    assert len(drawn) == data.MOST_ROWS < len(known)
    assert set(known.loc[recent, "flight_id"]) <= set(drawn["flight_id"])
    assert drawn["predicted_at"].is_monotonic_increasing
    assert drawn["predicted_at"].min() < pd.Timestamp("2013-01-02", tz="UTC"), "the oldest are not cut off"
    assert data.gather(october) == snapshot, "the same flights are drawn"


def test_days_in_doubt_are_left_out_and_again_when_a_version_is_rebuilt(
    settings: Settings, known: pd.DataFrame
) -> None:
    days = ["2013-02-08", "2013-03-08"]
    left_out = known["flight_id"].str[:10].isin(days)
    snapshot = data.gather(settings, days)
    assert snapshot.rows_left_out == left_out.sum() > 1000
    assert snapshot.rows == len(known) - snapshot.rows_left_out
    assert not pd.read_parquet(snapshot.file)["flight_id"].str[:10].isin(days).any()
    tags = {"today": "2013-04-01", "days_left_out": " ".join(days)}
    assert data.gather_again(replace(settings, today=date(2013, 9, 1)), tags) == snapshot
    assert data.gather_again(settings, {"today": "2013-04-01"}).rows == len(known)


def test_no_flight_that_judges_was_known_when_its_model_was_fitted(known: pd.DataFrame) -> None:
    fit_on, validate_on, before_test, test = data.windows(known.iloc[::6], NOW)
    assert fit_on["label_known_at"].max() < validate_on["predicted_at"].min()
    assert before_test["label_known_at"].max() < test["predicted_at"].min()
    assert not set(validate_on["flight_id"]) & set(test["flight_id"])
    assert min(map(len, (fit_on, validate_on, before_test, test))) > 1_000


def snapshot_of(flights: pd.DataFrame, folder: Path) -> data.Snapshot:
    file = folder / "history.parquet"
    write_parquet(flights, file)
    return data.Snapshot(file, "0" * 64, len(flights), NOW, {})


def in_test(flights: pd.DataFrame) -> pd.Series:
    return flights["predicted_at"] >= GAP[1]


def nearly_all(flights: pd.DataFrame) -> pd.Series:
    """Of the flights to test on, nine of ten."""
    return in_test(flights) & (np.arange(len(flights)) % 10 > 0)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda flights: flights.assign(temp=flights["temp"].where(flights.index != 40, 412.0)), "temp: 1 of"),
        (lambda flights: flights[flights["label_known_at"] < NOW - pd.Timedelta(days=3)], "newest label is 3 days"),
        (
            lambda flights: flights[flights["label_known_at"] > NOW - pd.Timedelta(days=40)],
            "too few labelled flights: 0 to tune on",
        ),
        (lambda flights: flights[~flights["predicted_at"].between(*GAP)], "flights: 0 to validate on"),
        (lambda flights: flights.drop(flights.index[in_test(flights)][500:-1]), "flights: 501 to test on"),
        (lambda flights: flights.assign(late=0.0), "0.00% of the [0-9,]+ flights to tune on are late"),
        (lambda flights: flights.assign(late=flights["late"].mask(~in_test(flights), 1.0)), "100.00% .* to tune on"),
        (
            lambda flights: flights.assign(late=flights["late"].mask(flights["predicted_at"] > GAP[0], 0.0)),
            "validate on",
        ),
        (lambda flights: flights.assign(late=flights["late"].mask(in_test(flights), 1.0)), "100.00% .* to test on"),
        (lambda flights: flights.assign(late=flights["late"].mask(nearly_all(flights), 0.0)), "to test on are late"),
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


def test_other_code_makes_features_of_its_own(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = data.gather(settings)
    before = data.build_features(snapshot)
    monkeypatch.setattr(lineage, "code_digest", lambda: "f" * 64)
    assert data.build_features(snapshot) != before
    assert before.exists()
