"""Faults are put in at the edge of the data: the tables that are streamed and learnt from are wrong, not the code."""

from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest

from level3_training_pipeline.pipeline import data
from level5_monitoring import config
from level5_monitoring.live_year import faulty_year
from level5_monitoring.live_year.faulty_year import FaultyTables, feed_faults, injected_faults, shuffle_labels
from shared.data.flights import load_flights
from shared.data.schema import FLIGHT, check
from shared.settings import SettingError, Settings


@pytest.fixture
def tables(level5_settings: Settings, flights: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> FaultyTables:
    monkeypatch.setattr(faulty_year, "load_flights", lambda _settings: flights)
    return FaultyTables(level5_settings)


def test_the_first_retraining_from_august_on_reads_labels_of_other_flights_and_no_other_does(
    tables: FaultyTables, level5_settings: Settings
) -> None:
    """Those of the two weeks that it is tested on are right. Read again, by the gates, they are the same."""

    def read(day: str) -> pd.DataFrame:
        return tables.load_flights(replace(level5_settings, today=date.fromisoformat(day)))

    assert read("2013-07-04")["late"].equals(tables.flights["late"])
    spoiled, test_from = read("2013-08-03"), pd.Timestamp("2013-07-20", tz="America/New_York")
    old = tables.flights["label_known_at"] < test_from
    wrong = spoiled["late"].ne(tables.flights["late"]) & tables.flights["late"].notna()
    assert wrong[old].mean() == pytest.approx(2 * 0.25 * 0.75, abs=0.05), "as of labels that were drawn by lot"
    assert not wrong[~old].any()
    assert spoiled["late"][old].mean() == tables.flights["late"][old].mean()
    assert read("2013-08-03")["late"].equals(spoiled["late"])
    assert read("2013-08-25")["late"].equals(tables.flights["late"])
    check(spoiled, FLIGHT, "the spoiled table")


def test_only_faults_that_begin_in_the_live_year_are_put_in() -> None:
    """A training before it would learn them unseen."""
    assert [one.first for one in feed_faults("2013-07-15")] == ["2013-07-15", "2013-09-02"]
    assert feed_faults("2013-10-01") == []


def test_the_spoiled_labels_are_those_of_the_simulation(flights: pd.DataFrame) -> None:
    """The pipeline cuts after the join, the simulation before it."""
    now = pd.Timestamp("2013-03-20", tz="UTC")
    known = flights[flights["label_known_at"] < now]
    assert np.array_equal(shuffle_labels(flights, now).loc[known.index, "late"], shuffle_labels(known, now)["late"])


def test_trainings_read_the_faulty_year_while_it_is_played(tables: FaultyTables, level5_settings: Settings) -> None:
    with injected_faults(level5_settings):
        assert data.read_year(level5_settings).equals(tables.flights)
    assert data.read_year is load_flights


def test_faults_none_leaves_the_year_as_it_is_and_another_value_has_a_remedy(
    level5_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert config.faults()
    monkeypatch.setenv("FAULTS", "none")
    with injected_faults(level5_settings) as tables:
        assert tables is None
        assert data.read_year is load_flights
    monkeypatch.setenv("FAULTS", "some")
    with pytest.raises(SettingError, match=r"FAULTS='some'.*Remedy: FAULTS=none"):
        config.faults()
