"""The reference of January to March: its thresholds are those that the history gives, and it is read as written."""

from dataclasses import fields
from pathlib import Path

import pandas as pd
import pytest

from level5_monitoring.monitors.drift import check_drift
from level5_monitoring.monitors.reference import DRIFT_MARGIN, Reference, load_reference
from level5_monitoring.monitors.window import as_window
from shared.errors import UserError
from tests.support import alarms


def test_drift_thresholds_are_those_that_evidently_measured(reference: Reference) -> None:
    """Figures of Evidently 0.7 on the twelve weeks of the real history: the largest distance, times 1.25."""
    measured = {"temp": 2.1727003400, "wind_gust": 1.0690236114, "minute_of_day": 0.0439646451, "dest": 0.0819419392}
    assert {name: reference.drift[name] for name in measured} == pytest.approx(measured, rel=1e-9)


def test_each_week_of_the_history_stays_below_the_thresholds_and_the_farthest_is_a_margin_away(
    known: pd.DataFrame, reference: Reference
) -> None:
    window = as_window(known, 0.2)
    weeks = [
        days.strftime("%Y-%m-%d")
        for days in (pd.date_range(d, periods=7) for d in pd.date_range("2013-01-01", periods=12, freq="7D"))
    ]
    results = [one for days in weeks for one in check_drift(window[window["day"].isin(days)], reference, days[-1])]
    assert not alarms(results)
    ratios = pd.Series([one.value / one.threshold for one in results if one.value and one.threshold], dtype=float)
    assert ratios.groupby([one.target for one in results]).max().to_numpy() == pytest.approx(1 / DRIFT_MARGIN)


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
