"""The live demo's clock lets the hours by as it is told, with the faults that are on, and forgets nothing."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest

from level5_monitoring.dashboard.events import FAULTS_FILE
from level5_monitoring.live_demo.clock import Clock
from shared.data.replay import Tick, replay
from shared.errors import UserError

MIDNIGHT = pd.Timestamp("2013-04-02", tz="America/New_York").tz_convert("UTC")
FAST = "as fast as it goes"


@contextmanager
def played(clock: Clock, hours: list[Tick]) -> Iterator[list[Tick]]:
    """The hours that the clock has let by, while a thread asks for them."""
    seen: list[Tick] = []
    thread = threading.Thread(target=lambda: seen.extend(clock.paced(hours)))  # one by one, as they are let by
    thread.start()
    try:
        yield seen
    finally:
        clock.stop()
        thread.join(10)
        assert not thread.is_alive()


def wait_for(seen: list[Tick], count: int) -> None:
    """Until so many hours have gone by; then no other may follow."""
    until = time.monotonic() + 20
    while len(seen) < count and time.monotonic() < until:
        time.sleep(0.01)
    time.sleep(0.1)
    assert len(seen) == count


def test_a_paused_clock_lets_no_hour_by_and_a_step_is_a_day(tmp_path: Path, hours: list[Tick]) -> None:
    clock = Clock(tmp_path, FAST, paused=True)
    with played(clock, hours) as seen:
        wait_for(seen, 0)
        clock.step()
        wait_for(seen, 24)
        assert (clock.day, clock.paused) == ("2013-04-03", True)
        clock.step()
        wait_for(seen, 48)
        clock.resume()
        wait_for(seen, 72)
    assert [hour.start for hour in seen] == [hour.start for hour in hours]


def test_without_faults_every_flight_and_outcome_goes_by_as_it_came(tmp_path: Path, hours: list[Tick]) -> None:
    for before, after in zip(hours, Clock(tmp_path, FAST).paced(hours), strict=True):
        pd.testing.assert_frame_equal(before.flights, after.flights)
        pd.testing.assert_frame_equal(before.labels, after.labels)


def test_speed_is_hours_a_second(tmp_path: Path, hours: list[Tick]) -> None:
    begun = time.monotonic()
    assert len(list(Clock(tmp_path, "a day a second").paced(hours[:13]))) == 13
    assert time.monotonic() - begun >= 12 / 24


def test_a_fault_spoils_what_comes_until_it_is_lifted(tmp_path: Path, hours: list[Tick]) -> None:
    clock = Clock(tmp_path, FAST)
    spoilt = []
    for i, hour in enumerate(clock.paced(hours[:60])):
        spoilt.append(not hour.flights["temp"].equals(hours[i].flights["temp"]))
        if i == 20:
            clock.inject("celsius", 3)
        if i == 40:
            clock.lift("celsius")
    asked = [len(hour.flights) > 0 for hour in hours[:60]]
    assert spoilt == [there and 20 < i <= 40 for i, there in enumerate(asked)]
    [kept] = json.loads((tmp_path / FAULTS_FILE).read_text())["faults"]
    assert (kept["fault"], kept["day"], kept["until"]) == ("celsius", "2013-04-02", "2013-04-03")


def test_labels_that_are_late_come_when_they_are_known(tmp_path: Path, flights: pd.DataFrame) -> None:
    """Never before: each is told in the hour in which it is known, three days later, by another clock as well."""
    hours = list(replay(flights, MIDNIGHT, MIDNIGHT + pd.Timedelta(days=5)))
    told: dict[str, int] = {}
    for first, last in ((0, 1), (1, 40), (40, len(hours))):
        clock = Clock(tmp_path, FAST)
        for i, hour in enumerate(clock.paced(hours[first:last]), first):
            assert (hour.labels["label_known_at"] < hour.start + pd.Timedelta(hours=1)).all()
            told |= dict.fromkeys(hour.labels["flight_id"], i)
            if i == 0:
                clock.inject("labels late", 3)
    was = {flight: i for i, hour in enumerate(hours) for flight in hour.labels["flight_id"]}
    late = {told[flight] - i for flight, i in was.items() if 1 <= i < 48}
    assert late == {72}


@pytest.mark.parametrize("played_to_its_end", [True, False])
def test_what_is_put_off_survives_a_sudden_end(tmp_path: Path, flights: pd.DataFrame, played_to_its_end: bool) -> None:
    """In every hour: one that was played is over, one that was not comes again; each outcome is told in its time."""
    hours = list(replay(flights, MIDNIGHT, MIDNIGHT + pd.Timedelta(days=4)))
    begun(tmp_path, hours).inject("labels late", 3)
    told: dict[str, int] = {}
    for i, hour in enumerate(hours):
        if not played_to_its_end:
            next(Clock(tmp_path, FAST).paced([hour]))
        for flight in next(Clock(tmp_path, FAST).paced([hour])).labels["flight_id"]:
            told.setdefault(flight, i)
    was = {flight: i for i, hour in enumerate(hours[:24]) for flight in hour.labels["flight_id"]}
    assert {told[flight] - i for flight, i in was.items()} == {72}


def test_a_fault_outlives_the_demo(tmp_path: Path, hours: list[Tick]) -> None:
    begun(tmp_path, hours).inject("strike", 2)
    assert [(one.fault, one.number) for one in Clock(tmp_path).active] == [("strike", 2)]


def test_a_fault_that_is_on_takes_the_new_size(tmp_path: Path, hours: list[Tick]) -> None:
    """It is on once, however often it is injected; the year's page knows since when."""
    for size in (1, 3):
        begun(tmp_path, hours).inject("celsius", size)
    clock = Clock(tmp_path)
    assert [(one.number, one.day) for one in clock.active] == [(3, "2013-04-02")]
    with pytest.raises(UserError, match="has not begun"):
        clock.lift("celsius")
    assert len(clock.active) == 1


def begun(home: Path, hours: list[Tick]) -> Clock:
    """A clock that has let the first hour by, without playing it."""
    clock = Clock(home, FAST)
    next(clock.paced(hours))
    return clock


def test_what_cannot_be_is_refused_with_a_remedy(tmp_path: Path) -> None:
    clock = Clock(tmp_path)
    with pytest.raises(UserError, match="size 1, 2 or 3"):
        clock.inject("celsius", 4)
    with pytest.raises(UserError, match="a day a second"):
        clock.set_speed("backwards")
    for act in (clock.step, lambda: clock.inject("celsius", 3), lambda: clock.lift("celsius")):
        with pytest.raises(UserError, match="has not begun"):
            act()
    assert not clock.paused
