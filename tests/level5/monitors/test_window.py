"""A window holds requests, first predictions and labels of closed days, each flight once."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa

from level4_deployment import prediction_log
from level4_deployment.experiment.labels import Label, ingest
from level5_monitoring.monitors.window import as_window, closed_days, is_end_of_week, read_window, week_of
from shared.settings import NEW_YORK
from tests.factories import insert, predictions_of


@pytest.fixture
def day(flights: pd.DataFrame) -> pd.DataFrame:
    return flights[flights["flight_id"].str[:10] == "2013-05-07"]


@pytest.fixture
def log(tmp_path: Path, day: pd.DataFrame) -> Iterator[sa.Engine]:
    """A log with predictions for the day, for some flights two, and all labels."""
    with prediction_log.open_log(prediction_log.url_of(tmp_path)) as engine:
        rows = predictions_of(day, version=1, probability=0.1, asked_at=1.0)
        rows += predictions_of(day.head(50), version=2, probability=0.6, asked_at=2.0)
        insert(engine, prediction_log.PREDICTIONS, rows)
        known = day.dropna(subset=["late"])
        told = zip(known["flight_id"], known["late"], known["label_known_at"], strict=True)
        ingest(engine, [Label(flight, int(late), at.timestamp()) for flight, late, at in told], None)
        yield engine


def test_a_window_has_each_flight_with_its_first_prediction(log: sa.Engine, day: pd.DataFrame) -> None:
    found = read_window(log, "2013-05-07", "2013-05-07").set_index("flight_id").sort_index()
    wanted = as_window(day, 0.1).set_index("flight_id").sort_index()
    pd.testing.assert_frame_equal(found, wanted, check_dtype=False, check_exact=False)


def test_a_label_known_after_the_day_closed_is_missing_for_every_later_reader(
    log: sa.Engine, day: pd.DataFrame
) -> None:
    cancelled = day[day["late"].isna()]["flight_id"].iloc[:2]
    closes = pd.Timestamp("2013-05-08", tz="America/New_York") + pd.Timedelta(hours=24)
    at = [closes.timestamp(), closes.timestamp() + 1]
    ingest(log, [Label(flight, 1, known) for flight, known in zip(cancelled, at, strict=True)], None)
    found = read_window(log, "2013-05-07", "2013-05-07").set_index("flight_id")["late"]
    assert found[cancelled.iloc[0]] == 1
    assert pd.isna(found[cancelled.iloc[1]])


def test_a_day_is_closed_when_the_watermark_is_a_day_beyond_it(log: sa.Engine) -> None:
    assert closed_days(log, None) == []
    ends = pd.Timestamp("2013-05-08", tz="America/New_York") + pd.Timedelta(hours=24)
    ingest(log, [], (ends - pd.Timedelta(minutes=1)).timestamp())
    assert closed_days(log, None) == []
    ingest(log, [], ends.timestamp())
    assert closed_days(log, None) == ["2013-05-07"]
    assert closed_days(log, "2013-05-07") == []


def test_a_week_ends_on_sunday_and_is_read_as_its_seven_days(log: sa.Engine) -> None:
    assert [is_end_of_week(day) for day in ("2013-05-11", "2013-05-12", "2013-05-13")] == [False, True, False]
    assert (week_of("2013-05-12")[0], week_of("2013-05-12")[-1], len(week_of("2013-05-12"))) == (
        "2013-05-06",
        "2013-05-12",
        7,
    )
    assert set(read_window(log, "2013-05-06", "2013-05-12")["day"]) == {"2013-05-07"}
    without = read_window(log, "2013-05-13", "2013-05-19")
    assert without.empty
    assert "temp" in without


def test_a_day_is_new_yorks(flights: pd.DataFrame) -> None:
    window = as_window(flights[flights["flight_id"].str[:7] == "2013-03"], 0.2)
    local = window["scheduled_departure"].dt.tz_convert(NEW_YORK).dt.strftime("%Y-%m-%d")
    assert (window["day"] == local).all()
    assert (window["day"] == window["flight_id"].str[:10]).all()
