"""The live stream gives every flight once, every label once, and no label before its time."""

import pandas as pd
import pytest

from shared.data.replay import Tick, replay
from shared.data.schema import KNOWN_BEFORE

APRIL, NEW_YEAR = (pd.Timestamp(day, tz="America/New_York") for day in ("2013-04-01", "2014-01-01"))


@pytest.fixture(scope="module")
def stream(flights: pd.DataFrame) -> list[Tick]:
    return list(replay(flights, APRIL, NEW_YEAR))


def test_every_hour_comes_once_the_quiet_ones_and_the_changed_clocks_too(stream: list[Tick]) -> None:
    assert [hour.start for hour in stream] == list(pd.date_range(APRIL, NEW_YEAR, freq="h", inclusive="left"))
    assert [hour.end for hour in stream] == list(pd.date_range(APRIL, NEW_YEAR, freq="h", inclusive="right"))
    assert any(hour.flights.empty for hour in stream)


def test_longer_ticks_hold_the_same_flights_and_labels_and_the_last_one_ends_in_time(
    stream: list[Tick], flights: pd.DataFrame
) -> None:
    end = APRIL + pd.Timedelta(hours=51)
    ticks = list(replay(flights, APRIL, end, pd.Timedelta(hours=6)))
    assert [tick.end for tick in ticks[-2:]] == [APRIL + pd.Timedelta(hours=48), end]
    for part in ("flights", "labels"):
        hours = pd.concat([getattr(hour, part) for hour in stream[:51]])
        pd.testing.assert_frame_equal(pd.concat([getattr(tick, part) for tick in ticks]), hours)


def test_the_whole_stream_is_the_table(stream: list[Tick], flights: pd.DataFrame) -> None:
    asked = pd.concat([hour.flights for hour in stream]).sort_index()
    labels = pd.concat([hour.labels for hour in stream]).sort_index()
    of_april_on = flights[(flights["predicted_at"] >= APRIL) & (flights["predicted_at"] < NEW_YEAR)]
    known = flights[(flights["label_known_at"] >= APRIL) & (flights["label_known_at"] < NEW_YEAR)]
    pd.testing.assert_frame_equal(asked, of_april_on[asked.columns])
    pd.testing.assert_frame_equal(labels, known[labels.columns])


def test_nothing_comes_before_or_after_its_hour(stream: list[Tick]) -> None:
    for hour in stream:
        assert hour.flights["predicted_at"].between(hour.start, hour.end, inclusive="left").all()
        assert hour.labels["label_known_at"].between(hour.start, hour.end, inclusive="left").all()


def test_a_flight_to_be_predicted_has_no_label(stream: list[Tick]) -> None:
    assert set(stream[0].flights.columns) == {"flight_id", "predicted_at", *KNOWN_BEFORE}
