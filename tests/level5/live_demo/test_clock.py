"""The live demo's clock lets the hours through as its controls say, with the active faults, and forgets nothing."""

import time
from pathlib import Path

import pandas as pd
import pytest

from level5_monitoring.live_demo.clock import SPEED, Clock
from level5_monitoring.live_year.year_record import FAULTS_FILE, read_faults
from shared.data.replay import Tick, replay
from shared.errors import UserError
from tests.level5.live_demo.playing import FAST, exactly, played

MIDNIGHT = pd.Timestamp("2013-04-02", tz="America/New_York").tz_convert("UTC")


def test_a_paused_clock_lets_no_hour_through_and_a_step_is_a_day(tmp_path: Path, hours: list[Tick]) -> None:
    clock = Clock(tmp_path, FAST, paused=True)
    with played(clock, hours) as seen:
        exactly(seen, 0)
        clock.step()
        exactly(seen, 24)
        assert (clock.day, clock.paused) == ("2013-04-03", True)
        clock.step()
        exactly(seen, 48)
        clock.resume()
        exactly(seen, 72)
    assert [hour.start for hour in seen] == [hour.start for hour in hours]


def test_without_faults_every_flight_and_label_is_unchanged(tmp_path: Path, hours: list[Tick]) -> None:
    for before, after in zip(hours, Clock(tmp_path, FAST).paced(hours), strict=True):
        pd.testing.assert_frame_equal(before.flights, after.flights)
        pd.testing.assert_frame_equal(before.labels, after.labels)


def test_speed_is_hours_a_second(tmp_path: Path, hours: list[Tick]) -> None:
    begun = time.monotonic()
    assert len(list(Clock(tmp_path, "a day a second").paced(hours[:13]))) == 13
    assert time.monotonic() - begun >= 12 / 24


def test_a_fault_changes_what_follows_until_it_is_removed(tmp_path: Path, hours: list[Tick]) -> None:
    clock = Clock(tmp_path, FAST)
    changed = []
    for i, hour in enumerate(clock.paced(hours[:60])):
        changed.append(not hour.flights["temp"].equals(hours[i].flights["temp"]))
        if i == 20:
            clock.inject("celsius", 3)
        if i == 40:
            clock.remove("celsius")
    assert changed == [len(hour.flights) > 0 and 20 < i <= 40 for i, hour in enumerate(hours[:60])]
    [kept] = read_faults(tmp_path)
    assert (kept.fault, kept.day, kept.until) == ("celsius", "2013-04-02", "2013-04-03")


def test_delayed_labels_are_sent_when_they_are_known(tmp_path: Path, flights: pd.DataFrame) -> None:
    """Each in the hour in which it is known, three days later and never before, by the next clock as well."""
    hours = list(replay(flights, MIDNIGHT, MIDNIGHT + pd.Timedelta(days=5)))
    sent: dict[str, int] = {}
    for first, last in ((0, 1), (1, 40), (40, len(hours))):
        clock = Clock(tmp_path, FAST)
        for i, hour in enumerate(clock.paced(hours[first:last]), first):
            assert (hour.labels["label_known_at"] < hour.start + pd.Timedelta(hours=1)).all()
            sent |= dict.fromkeys(hour.labels["flight_id"], i)
            if i == 0:
                clock.inject("labels late", 3)
    was = {flight: i for i, hour in enumerate(hours) for flight in hour.labels["flight_id"]}
    late = {sent[flight] - i for flight, i in was.items() if 1 <= i < 48}
    assert late == {72}


@pytest.mark.parametrize("played_to_its_end", [True, False])
def test_delayed_labels_survive_a_sudden_end(tmp_path: Path, flights: pd.DataFrame, played_to_its_end: bool) -> None:
    """In every hour, whether it was played to its end or is played again; each label is sent in its time."""
    hours = list(replay(flights, MIDNIGHT, MIDNIGHT + pd.Timedelta(days=4)))
    begun(tmp_path, hours).inject("labels late", 3)
    sent: dict[str, int] = {}
    for i, hour in enumerate(hours):
        if not played_to_its_end:
            next(Clock(tmp_path, FAST).paced([hour]))
        for flight in next(Clock(tmp_path, FAST).paced([hour])).labels["flight_id"]:
            sent.setdefault(flight, i)
    was = {flight: i for i, hour in enumerate(hours[:24]) for flight in hour.labels["flight_id"]}
    assert {sent[flight] - i for flight, i in was.items()} == {72}


def test_the_next_demo_goes_on_at_the_speed_that_was_set(tmp_path: Path) -> None:
    assert Clock(tmp_path).speed == "a day a second"
    Clock(tmp_path).set_speed(FAST)
    assert Clock(tmp_path).speed == FAST
    (tmp_path / SPEED).write_bytes(b"\x80\xff")
    assert Clock(tmp_path).speed == "a day a second"


def test_an_active_fault_takes_the_new_size(tmp_path: Path, hours: list[Tick]) -> None:
    for size in (1, 3):
        begun(tmp_path, hours).inject("celsius", size)
    clock = Clock(tmp_path)
    assert [(one.number, one.day) for one in clock.active] == [(3, "2013-04-02")]
    with pytest.raises(UserError, match="has not begun"):
        clock.remove("celsius")
    assert len(clock.active) == 1


def begun(home: Path, hours: list[Tick]) -> Clock:
    """A clock that has let the first hour through; it is not played."""
    clock = Clock(home, FAST)
    next(clock.paced(hours))
    return clock


def test_impossible_requests_are_refused_with_a_remedy(tmp_path: Path) -> None:
    clock = Clock(tmp_path)
    with pytest.raises(UserError, match="size 1, 2 or 3"):
        clock.inject("celsius", 4)
    with pytest.raises(UserError, match="a day a second"):
        clock.set_speed("backwards")
    for action in (clock.step, lambda: clock.inject("celsius", 3), lambda: clock.remove("celsius")):
        with pytest.raises(UserError, match="has not begun"):
            action()
    assert not clock.paused


@pytest.mark.parametrize("content", [b"", b"\x80\xff", b"[]", None])
def test_faults_that_something_else_garbles_are_written_again(
    hours: list[Tick], tmp_path: Path, content: bytes | None
) -> None:
    clock = Clock(tmp_path, FAST)
    next(clock.paced(hours))
    clock.inject("celsius", 1)
    file = tmp_path / FAULTS_FILE
    file.unlink() if content is None else file.write_bytes(content)
    clock.keep_faults()
    assert read_faults(tmp_path) == clock.faults
