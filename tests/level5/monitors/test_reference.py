"""The reference of January to March: its thresholds are those that the history gives, and it is read as written."""

from dataclasses import fields
from pathlib import Path

import pandas as pd
import pytest

from level5_monitoring.monitors.reference import Reference, load_reference
from shared.errors import UserError


def test_drift_thresholds_are_those_that_evidently_measured(reference: Reference) -> None:
    """Figures of Evidently 0.7 on the twelve weeks of the real history: the largest distance, times 1.25."""
    measured = {"temp": 2.1727003400, "wind_gust": 1.0690236114, "minute_of_day": 0.0439646451, "dest": 0.0819419392}
    assert {name: reference.drift[name] for name in measured} == pytest.approx(measured, rel=1e-9)


def test_thresholds_of_days_are_those_of_the_history(reference: Reference) -> None:
    """Flights of a usual day, by airport, are counted by hand; no day missed more than 4% of temperatures."""
    assert reference.flights == pytest.approx({"EWR": 313.01, "JFK": 294.32, "LGA": 257.41}, abs=0.01)
    assert reference.missing["temp"] == pytest.approx(0.0397 + 0.25, abs=1e-4)
    assert reference.missing["wind_gust"] == 1
    assert reference.codes["origin"] == ["EWR", "JFK", "LGA"]


def test_a_reference_is_read_as_it_was_written(reference: Reference, tmp_path: Path) -> None:
    reference.save(tmp_path)
    read = load_reference(tmp_path)
    pd.testing.assert_frame_equal(read.sample, reference.sample)
    for name in [field.name for field in fields(Reference) if field.name not in ("sample", "spread")]:
        assert getattr(read, name) == getattr(reference, name), name
    assert {name: tuple(pair) for name, pair in read.spread.items()} == reference.spread


def test_without_a_reference_the_remedy_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no reference.*Remedy: make level5"):
        load_reference(tmp_path)
