"""A window is what was asked, answered and told, each flight once, of days that are closed."""

import json
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa

from level4_deployment import prediction_log
from level4_deployment.experiment.labels import Label, ingest
from level4_deployment.replay_client import as_requests
from level5_monitoring.monitors.window import as_window, closed_days, read_window


@pytest.fixture
def day(flights: pd.DataFrame) -> pd.DataFrame:
    return flights[flights["flight_id"].str[:10] == "2013-05-07"]


@pytest.fixture
def log(tmp_path: Path, day: pd.DataFrame) -> sa.Engine:
    """A log on which the day was asked for, and some of it twice; all outcomes are told."""
    engine = prediction_log.open_log(prediction_log.url_of(tmp_path))
    rows = [
        {
            "request_id": f"{turn}-{i}",
            "flight_id": sent["flight_id"],
            "departs_at": pd.Timestamp(sent["scheduled_departure"]).timestamp(),
            "asked_at": turn * 1000.0 + i,
            "request_payload": json.dumps(sent),
            "arm": "champion",
            "propensity": 1.0,
            "version": 1 + turn,
            "probability": 0.1 + 0.5 * turn,
            "fallback": "",
            "seconds": 0.001,
        }
        for turn, asked in enumerate((day, day.head(50)))
        for i, sent in enumerate(as_requests(asked))
    ]
    with engine.begin() as connection:
        connection.execute(prediction_log.PREDICTIONS.insert(), rows)
    known = day.dropna(subset=["late"])
    told = zip(known["flight_id"], known["late"], known["label_known_at"], strict=True)
    ingest(engine, [Label(flight, int(late), at.timestamp()) for flight, late, at in told], None)
    return engine


def test_what_is_read_is_what_was_asked_by_its_first_answer(log: sa.Engine, day: pd.DataFrame) -> None:
    found = read_window(log, "2013-05-07", "2013-05-07").set_index("flight_id").sort_index()
    wanted = as_window(day, 0.1).set_index("flight_id").sort_index()
    pd.testing.assert_frame_equal(found, wanted, check_dtype=False, check_exact=False)


def test_outcomes_that_contradict_each_other_are_none(log: sa.Engine, day: pd.DataFrame) -> None:
    first = day.dropna(subset=["late"]).iloc[0]
    ingest(log, [Label(first["flight_id"], 1 - int(first["late"]), 2e9)], None)
    found = read_window(log, "2013-05-07", "2013-05-07").set_index("flight_id")
    assert pd.isna(found.loc[first["flight_id"], "late"])


def test_an_outcome_known_after_the_closing_is_not_there_however_late_one_looks(
    log: sa.Engine, day: pd.DataFrame
) -> None:
    cancelled = day[day["late"].isna()]["flight_id"].iloc[:2]
    closes = pd.Timestamp("2013-05-08", tz="America/New_York") + pd.Timedelta(hours=24)
    at = [closes.timestamp(), closes.timestamp() + 1]
    ingest(log, [Label(flight, 1, known) for flight, known in zip(cancelled, at, strict=True)], None)
    found = read_window(log, "2013-05-07", "2013-05-07").set_index("flight_id")["late"]
    assert found[cancelled.iloc[0]] == 1
    assert pd.isna(found[cancelled.iloc[1]])


def test_a_day_without_a_flight_is_an_empty_window(log: sa.Engine) -> None:
    found = read_window(log, "2013-06-01", "2013-06-01")
    assert found.empty
    assert "temp" in found


def test_a_day_is_closed_when_the_watermark_is_a_day_beyond_it(log: sa.Engine) -> None:
    assert closed_days(log, None) == []
    ends = pd.Timestamp("2013-05-08", tz="America/New_York") + pd.Timedelta(hours=24)
    ingest(log, [], (ends - pd.Timedelta(minutes=1)).timestamp())
    assert closed_days(log, None) == []
    ingest(log, [], ends.timestamp())
    assert closed_days(log, None) == ["2013-05-07"]
    assert closed_days(log, "2013-05-07") == []
