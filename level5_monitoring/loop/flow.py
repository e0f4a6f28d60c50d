"""The loop as Prefect runs it: the turns that are due are a flow."""

from collections.abc import Iterator

from filelock import FileLock
from prefect import flow

from level5_monitoring import config
from level5_monitoring.loop import freshness
from level5_monitoring.loop.controller import LoopController
from level5_monitoring.loop.policy import Decision
from level5_monitoring.monitors.reference import load_reference
from shared.data.replay import Tick
from shared.settings import NEW_YORK, read_settings


def catch_up(loop: LoopController) -> Iterator[Decision]:
    """The turns that are due, one loop at a time; before them, whoever was not told yet is."""
    with FileLock(config.own(loop.settings) / "turns.lock"):  # a sudden end lets go of it
        freshness.look(loop.log)
        loop.tell()
        for day in loop.due():
            yield loop.turn(day)


@flow(
    name="turns",
    description="Look at every closed day that was not looked at yet, decide, and act.",
    retries=2,  # a turn that is cut off goes on where it was
    retry_delay_seconds=1,
)
def turns() -> int:
    """Catch up; returns how many days there were at the last try."""
    return len(list(catch_up(open_loop())))


def has_midnight(tick: Tick) -> bool:
    """Whether a day ends in New York within the tick, or with it: then one may be closed."""
    start, end = (at.tz_convert(NEW_YORK).date() for at in (tick.start, tick.end))
    return bool(start < end)


def open_loop() -> LoopController:
    """The loop over this level's platform, which must run."""
    settings = read_settings()
    return LoopController(settings, load_reference(config.own(settings)))
