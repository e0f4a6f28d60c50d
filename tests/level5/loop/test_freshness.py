"""A feed that dies is told once, and once more when it is back; meanwhile nothing is learnt and nothing is judged."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pandas as pd
import pytest
import sqlalchemy as sa

from level4_deployment import replay_client
from level4_deployment.experiment import labels
from level4_deployment.prediction_log import PREDICTIONS
from level5_monitoring import config
from level5_monitoring.loop import flow, loop_store
from level5_monitoring.loop.freshness import BEHIND, CAUGHT_UP, FEWEST, Feeds, news, read_feeds
from level5_monitoring.monitors.reference import Reference
from shared.data.replay import replay
from shared.settings import NEW_YORK, Settings
from tests.level5.served import opened, serve_platform

FIRST = pd.Timestamp("2013-05-06", tz=NEW_YORK)
DAYS = 16
BOTH, NO_OUTCOMES, NO_FLIGHTS = (True, True), (True, False), (False, True)  # what comes on a day


@dataclass(frozen=True)
class Night:
    """Called with what comes on a day, it plays that day and starts a loop; returns the titles of what was told."""

    log: sa.Engine
    play: Callable[[tuple[bool, bool]], list[str]]

    def __call__(self, comes: tuple[bool, bool]) -> list[str]:
        return self.play(comes)


def ask(log: sa.Engine, flights: pd.DataFrame) -> None:
    """The flights are asked for, and answered."""
    rows = [
        {
            "request_id": uuid4().hex,
            "flight_id": sent["flight_id"],
            "departs_at": pd.Timestamp(sent["scheduled_departure"]).timestamp(),
            "asked_at": 1.0,
            "request_payload": json.dumps({name: value for name, value in sent.items() if name != "flight_id"}),
            "arm": "champion",
            "propensity": 1.0,
            "version": 1,
            "probability": 0.2,
            "fallback": "",
            "seconds": 0.001,
        }
        for sent in replay_client.as_requests(flights)
    ]
    with log.begin() as connection:
        connection.execute(PREDICTIONS.insert(), rows)


@pytest.fixture
def night(
    flights: pd.DataFrame,
    reference: Reference,
    tmp_path: Path,
) -> Iterator[Night]:
    """Days of the real stream."""
    settings = Settings(FIRST.date(), None, tmp_path, within="level5")
    days = replay(
        flights, FIRST.tz_convert("UTC"), (FIRST + pd.DateOffset(days=DAYS)).tz_convert("UTC"), pd.Timedelta("1D")
    )
    kept: list[labels.Label] = []
    with ExitStack() as stack:
        log = serve_platform(settings, None, stack).log  # nothing is served: no registry is asked

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

        yield Night(log, play)


def test_outcomes_that_stop_are_told_once_and_decide_nothing(night: Night) -> None:
    """A loop is started anew each night, and tells it no second time."""
    assert [night(BOTH) for _ in range(4)][-1] == []
    decided = len(loop_store.decisions(night.log))
    told = [night(NO_OUTCOMES) for _ in range(5)]
    assert told == [[]] * 3 + [["outcomes have stopped"]] * 2
    assert len(loop_store.decisions(night.log)) == decided, "no day closes: nothing is trained, nothing promoted"
    assert night(BOTH) == ["outcomes have stopped", "outcomes are back"]
    assert len(loop_store.decisions(night.log)) == decided + 6, "the turns that were due are taken"
    [alert] = loop_store.alerts(night.log, "2013-05-13")
    assert (alert.severity, alert.key) == ("page", "outcomes-stopped-1")
    assert "outcomes are known until 2013-05-10 00:00" in alert.text
    night(BOTH)
    again = [night(NO_OUTCOMES) for _ in range(4)][-1]
    assert again == ["outcomes have stopped", "outcomes are back", "outcomes have stopped"]


def test_flights_that_are_no_longer_asked_for_are_told_once_and_stop_what_learns(night: Night) -> None:
    """Outcomes go on, days close empty, and all three airports have fallen silent."""
    for _ in range(4):
        night(BOTH)
    told = [night(NO_FLIGHTS) for _ in range(4)]
    assert told[-1] == ["volume alarm begins"]
    told_of = [one for day in loop_store.decisions(night.log) for one in loop_store.alerts(night.log, day["day"])]
    [alert] = [one for one in told_of if one.title == "volume alarm begins"]
    assert alert.severity == "page"
    assert all(f"volume of {airport}: 0 flights" in alert.text for airport in ("EWR", "JFK", "LGA"))
    assert [one["kind"] for one in loop_store.decisions(night.log)][-2:] == ["halt_experiment", "halt_experiment"]
    assert [night(BOTH) for _ in range(3)][-1] == ["volume alarm begins", "volume alarm is over"]


def test_a_stall_is_told_when_it_begins_and_when_it_is_over() -> None:
    """A feed near the limit does not ring each day."""
    told: list[str] = []
    hour = pd.Timedelta(hours=1)
    for behind in (hour, BEHIND, BEHIND + hour, BEHIND, BEHIND + hour, CAUGHT_UP + hour, CAUGHT_UP, BEHIND + hour):
        stopped, back = (sum(key.startswith(f"outcomes-{word}") for key in told) for word in ("stopped", "back"))
        alert = news(Feeds(FIRST, FIRST - behind), stopped, back)
        told += [alert.key] if alert else []
    assert told == ["outcomes-stopped-1", "outcomes-back-1", "outcomes-stopped-2"]


def test_a_few_flights_with_wrong_times_wake_nobody(night: Night, flights: pd.DataFrame) -> None:
    """And outcomes that have never come are as late as the first flight is old."""
    assert read_feeds(night.log) is None
    assert night(NO_OUTCOMES) == []
    wrong = flights.head(FEWEST - 1)
    ask(night.log, wrong.assign(scheduled_departure=wrong["scheduled_departure"] + pd.Timedelta(days=3650)))
    feeds = read_feeds(night.log)
    assert feeds
    assert (feeds.labels.date(), feeds.flights.date()) == (FIRST.date(), FIRST.date())
    assert [night(NO_OUTCOMES) for _ in range(3)][-1] == ["outcomes have stopped"]
