"""Features: a worked example, and the days when the clocks change."""

import numpy as np
import pandas as pd

from level2_devops.features import CATEGORIES, NUMBERS, features


def row(flights: pd.DataFrame, flight_id: str) -> pd.Series:
    return features(flights[flights["flight_id"] == flight_id]).iloc[0]


def test_a_worked_example(flights: pd.DataFrame) -> None:
    """UA 1545 left Newark for Houston on Tuesday, 1 January at 5:15, due at 8:19 there: 4 h 4 min, 1,400 miles."""
    first = row(flights, "2013-01-01-UA1545-EWR")
    assert list(first[CATEGORIES]) == ["UA", "EWR", "IAH"]
    assert (first["minute_of_day"], first["weekday"]) == (5 * 60 + 15, 1)
    assert (first["scheduled_minutes"], first["distance"]) == (244, 1400)
    assert first["scheduled_mph"] == np.float32(1400 / 244 * 60)
    assert first["temp"] == np.float32(39.02)


def test_the_time_of_day_is_new_yorks_on_both_sides_of_daylight_saving(flights: pd.DataFrame) -> None:
    local = flights["scheduled_departure"].dt.tz_convert("America/New_York")
    for day in ("2013-03-09", "2013-03-10", "2013-11-02", "2013-11-03"):
        some = flights[flights["flight_id"].str.startswith(day)]
        hours = local[some.index].dt.hour
        assert ((features(some)["minute_of_day"] // 60) == hours).all()
        assert 5 <= hours.min() <= hours.max() <= 23


def test_numbers_are_float32_and_missing_values_stay_missing(flights: pd.DataFrame) -> None:
    some = flights[flights["wind_gust"].isna()].head(100)
    table = features(some)
    assert (table[NUMBERS].dtypes == "float32").all()
    assert table["wind_gust"].isna().all()


def test_one_flight_alone_has_the_features_it_has_among_others(flights: pd.DataFrame) -> None:
    some = flights.sample(20, random_state=1)
    together = features(some)
    alone = pd.concat([features(some.loc[[index]]) for index in some.index])
    pd.testing.assert_frame_equal(together, alone)
