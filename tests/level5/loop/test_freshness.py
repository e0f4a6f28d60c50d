"""A feed that stops has one alert, and one when it is back; meanwhile nothing is trained or decided."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa

from level4_deployment import replay_client
from level4_deployment.experiment import labels
from level4_deployment.prediction_log import PREDICTIONS
from level5_monitoring import config
from level5_monitoring.loop import flow, loop_store, outbox
from level5_monitoring.loop.freshness import (
    CAUGHT_UP,
    MIN_FLIGHTS,
    STALLED,
    freshness_alert,
    read_progress,
)
from level5_monitoring.loop.policy import CLEAN_DAYS
from level5_monitoring.monitors.reference import Reference
from shared.data.replay import replay
from shared.settings import NEW_YORK, Settings
from tests.factories import insert, predictions_of
from tests.level5.served import opened, serve_platform

FIRST = pd.Timestamp("2013-05-06", tz=NEW_YORK)
DAYS = 16
BOTH, NO_LABELS, NO_FLIGHTS = (True, True), (True, False), (False, True)  # feeds of a day: (flights, labels)


Night = Callable[[tuple[bool, bool]], list[str]]


def ask(log: sa.Engine, flights: pd.DataFrame) -> None:
    insert(log, PREDICTIONS, predictions_of(flights))


@pytest.fixture
def log(tmp_path: Path) -> Iterator[sa.Engine]:
    """The log of a platform that serves nothing, so no registry is needed."""
    with ExitStack() as stack:
        yield serve_platform(Settings(FIRST.date(), None, tmp_path, "level5"), None, stack).log


@pytest.fixture
def night(log: sa.Engine, flights: pd.DataFrame, reference: Reference, tmp_path: Path) -> Night:
    """Called with the feeds of a day, it replays that day and starts a loop; returns the titles of all alerts."""
    settings = Settings(FIRST.date(), None, tmp_path, "level5")
    end = (FIRST + pd.DateOffset(days=DAYS)).tz_convert("UTC")
    days = replay(flights, FIRST.tz_convert("UTC"), end, pd.Timedelta("1D"))
    kept: list[labels.Label] = []

    def play(comes: tuple[bool, bool]) -> list[str]:
        asked, told = comes
        day = next(days)
        if asked:
            ask(log, day.flights)
        kept.extend(labels.Label(**one) for one in replay_client.as_labels(day.labels))
        if told:
            labels.ingest(log, kept, day.end.timestamp())
            kept.clear()
        with opened(settings, reference) as loop:
            list(flow.catch_up(loop))
        file = config.own(settings) / "alerts.jsonl"
        titles = [json.loads(line)["title"] for line in file.read_text().splitlines()] if file.exists() else []
        return [title for title in titles if not title.startswith("drift")]  # of May from winter

    return play


def test_labels_that_stop_have_one_alert_and_no_day_is_decided(log: sa.Engine, night: Night) -> None:
    """Each night another process runs the loop, and sends no second alert."""
    assert [night(BOTH) for _ in range(4)][-1] == []
    decided = len(loop_store.decisions(log))
    told = [night(NO_LABELS) for _ in range(5)]
    assert told == [[]] * 3 + [["labels have stopped"]] * 2
    assert len(loop_store.decisions(log)) == decided, "no day closes: nothing is trained, nothing promoted"
    assert night(BOTH) == ["labels have stopped", "labels are back"]
    assert len(loop_store.decisions(log)) == decided + 6, "the days that were due are run"
    [alert] = outbox.alerts(log, "2013-05-13")
    assert (alert.severity, alert.key) == ("page", "labels-stopped-1")
    assert "labels are known until 2013-05-10 00:00" in alert.text
    night(BOTH)
    again = [night(NO_LABELS) for _ in range(4)][-1]
    assert again == ["labels have stopped", "labels are back", "labels have stopped"]


def test_flights_that_stop_have_one_alert_and_stop_experiments(log: sa.Engine, night: Night) -> None:
    """Labels go on, days close empty, and all three airports are silent."""
    for _ in range(4):
        night(BOTH)
    told = [night(NO_FLIGHTS) for _ in range(4)]
    assert told[-1] == ["volume alarm begins"]
    told_of = [one for day in loop_store.decisions(log) for one in outbox.alerts(log, day["day"])]
    [alert] = [one for one in told_of if one.title == "volume alarm begins"]
    assert alert.severity == "page"
    assert all(f"volume of {airport}: 0 flights" in alert.text for airport in ("EWR", "JFK", "LGA"))
    assert [one["kind"] for one in loop_store.decisions(log)][-2:] == ["stop_experiment", "stop_experiment"]
    assert [night(BOTH) for _ in range(2 + CLEAN_DAYS)][-1] == ["volume alarm begins", "volume alarm is over"]


def test_a_stall_has_one_alert_when_it_begins_and_one_when_it_is_over() -> None:
    told: list[str] = []
    hour = pd.Timedelta(hours=1)
    for behind in (hour, STALLED, STALLED + hour, STALLED, STALLED + hour, CAUGHT_UP + hour, CAUGHT_UP, STALLED + hour):
        stopped, back = (sum(key.startswith(f"labels-{word}") for key in told) for word in ("stopped", "back"))
        alert = freshness_alert(FIRST, FIRST - behind, stopped, back)
        told += [alert.key] if alert else []
    assert told == ["labels-stopped-1", "labels-back-1", "labels-stopped-2"]


def test_a_few_flights_with_wrong_times_cause_no_alert(log: sa.Engine, night: Night, flights: pd.DataFrame) -> None:
    """Labels that never arrived are as late as the first flight is old."""
    assert read_progress(log) is None
    assert night(NO_LABELS) == []
    wrong = flights.head(MIN_FLIGHTS - 1)
    ask(log, wrong.assign(scheduled_departure=wrong["scheduled_departure"] + pd.Timedelta(days=3650)))
    assert [at.date() for at in read_progress(log) or ()] == [FIRST.date()] * 2
    assert [night(NO_LABELS) for _ in range(3)][-1] == ["labels have stopped"]


def test_many_flights_with_wrong_times_do_not_blind_it_for_good(
    log: sa.Engine, night: Night, flights: pd.DataFrame
) -> None:
    """Once the stream goes on, how far it has come is right again, and a real stall has its alert."""
    for _ in range(4):
        night(BOTH)
    wrong = flights.head(3 * MIN_FLIGHTS)
    ask(log, wrong.assign(scheduled_departure=wrong["scheduled_departure"] + pd.Timedelta(days=3650)))
    assert night(BOTH) == []
    assert [night(NO_LABELS) for _ in range(4)][-1] == ["labels have stopped"]
