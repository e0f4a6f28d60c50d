"""The loop as Prefect flows: the nightly run of all days that are due."""

from collections.abc import Iterator

import pandas as pd
from filelock import FileLock
from prefect import flow

from level4_deployment import replay_client
from level4_deployment.control import client
from level4_deployment.experiment import labels
from level4_deployment.serving import reloader
from level5_monitoring import config
from level5_monitoring.console_view import ConsoleView
from level5_monitoring.loop import freshness
from level5_monitoring.loop.controller import LoopController
from level5_monitoring.loop.policy import Decision
from level5_monitoring.monitors.reference import load_reference
from shared.data.flights import load_flights
from shared.data.replay import Tick, replay
from shared.settings import NEW_YORK, parse_today, read_settings

EVERY = pd.Timedelta(hours=12)  # of the stream at once: a year hour by hour takes half as long again


def catch_up(loop: LoopController) -> Iterator[Decision]:
    """Run every closed day that is due, one process at a time; waiting alerts are delivered first."""
    with FileLock(config.own(loop.settings) / "turns.lock"):  # released when the process is killed
        freshness.check_freshness(loop.log)
        loop.deliver_alerts()
        for day in loop.poll():
            yield loop.run_day(day)


@flow(
    name="turns",
    description="Monitor every closed day that has no decision yet, decide, and act.",
    retries=2,  # a run that was interrupted continues where it was
    retry_delay_seconds=1,
)
def turns() -> int:
    """Catch up; returns how many days the last attempt ran."""
    return len(list(catch_up(open_loop())))


@flow(name="year", description="Live flights, some hours at a time, and a turn of the loop each night.")
def year(until: str) -> replay_client.ReplayStats:
    """Play the flights from where the log ends to `until` (YYYY-MM-DD); nobody touches anything."""
    settings = read_settings()
    loop = open_loop()
    start = labels.read_watermark(loop.log)
    begin = pd.Timestamp(start, unit="s", tz="UTC") if start else settings.now
    end = pd.Timestamp(parse_today(until), tz=NEW_YORK).tz_convert("UTC")
    ticks = replay(load_flights(settings), begin, end, EVERY)
    with client.PlatformClient.at(loop.home, "feed") as feed, ConsoleView(loop).watch() as view:

        def take_turns() -> None:
            for decision in catch_up(loop):
                view.decided(decision)

        def after(tick: Tick, played: replay_client.ReplayStats) -> None:
            if has_midnight(tick):
                take_turns()
                view.tell(tick, played)
            reloader.wait_for_workers(loop.home)  # who answers the next flights is whom the acts have chosen

        take_turns()  # those that a sudden end has cut off: before the next flight
        reloader.wait_for_workers(loop.home)
        return replay_client.replay_over_http(ticks, client.read_addresses(loop.home)["service"], feed, after)


def has_midnight(tick: Tick) -> bool:
    """Whether a day ends in New York within the tick, or with it: then one may be closed."""
    start, end = (at.tz_convert(NEW_YORK).date() for at in (tick.start, tick.end))
    return bool(start < end)


def open_loop() -> LoopController:
    """The loop over this level's platform, which must run."""
    settings = read_settings()
    return LoopController(settings, load_reference(config.own(settings)))
