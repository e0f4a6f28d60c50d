"""What a training learns from: all that is recent, and no more rows than it takes."""

from dataclasses import replace
from datetime import date

import pandas as pd

from level3_training_pipeline.pipeline import data
from shared.data.split import history
from shared.settings import Settings


def test_three_months_are_learned_from_whole(flights: pd.DataFrame, settings: Settings) -> None:
    known = history(flights, settings.now)
    pd.testing.assert_frame_equal(data.sample(known, settings.now), known.reset_index(drop=True))


def test_of_a_long_history_the_recent_flights_are_whole_and_the_others_drawn_alike(
    flights: pd.DataFrame, settings: Settings
) -> None:
    now = replace(settings, today=date(2013, 10, 1)).now
    known = history(flights, now)
    drawn = data.sample(known, now)
    recent = known["predicted_at"] >= now - pd.Timedelta(days=data.TEST_DAYS + data.VALIDATION_DAYS)
    assert len(drawn) == data.MOST_ROWS < len(known)
    assert set(known.loc[recent, "flight_id"]) <= set(drawn["flight_id"])
    assert drawn["predicted_at"].is_monotonic_increasing
    assert drawn["predicted_at"].min() < pd.Timestamp("2013-01-02", tz="UTC"), "the oldest are not cut off"
    pd.testing.assert_frame_equal(drawn, data.sample(known, now))


def test_a_snapshot_holds_the_sample_and_is_known_by_it(settings: Settings) -> None:
    october = replace(settings, today=date(2013, 10, 1))
    snapshot = data.gather(october)
    assert snapshot.rows == data.MOST_ROWS
    assert snapshot.digest == data.gather(october).digest
