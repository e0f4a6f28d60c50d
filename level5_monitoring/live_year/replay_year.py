"""Replay the year: flights go through the platform hour by hour, and each night the loop takes one turn."""

import os
from collections.abc import Callable, Iterable, Iterator
from datetime import date
from pathlib import Path

import pandas as pd
import sqlalchemy as sa
from prefect import flow

from level4_deployment import prediction_log
from level4_deployment.control import client
from level4_deployment.experiment import labels
from level4_deployment.replay_client import ReplayStats, replay_over_http
from level4_deployment.serving import reloader
from level5_monitoring import config
from level5_monitoring.live_year.faulty_year import injected_faults
from level5_monitoring.live_year.story import Story
from level5_monitoring.live_year.year_record import UserRequests, keep_requests, read_requests
from level5_monitoring.loop.controller import LoopController
from level5_monitoring.loop.flow import catch_up, open_loop
from level5_monitoring.loop.policy import Decision
from shared.console import working
from shared.data.flights import load_flights
from shared.data.replay import Tick, replay
from shared.errors import UserError
from shared.processes.reset import set_aside
from shared.settings import NEW_YORK, Settings, parse_today

HALF_A_DAY = pd.Timedelta(hours=12)  # of flights at once: hour by hour, a year takes half as long again


@flow(
    name="year",
    flow_run_name="year until {until}",
    description="Live flights, twelve hours at a time, and a turn of the loop each night.",
)
def year(until: str) -> ReplayStats:
    """Replay the flights from the end of the log to `until` (YYYY-MM-DD), with the faults of the year put in."""
    shown = working("the first flights are being predicted")
    with open_loop() as loop, injected_faults(loop.settings) as tables, shown as status:
        story = Story(loop.log, config.own(loop.settings), tables, status)
        flights = tables.flights if tables else load_flights(loop.settings)
        ticks = remaining_ticks(loop, parse_today(until), HALF_A_DAY, flights)
        return play(loop, ticks, story.print_decision, story.print_night)


def remaining_ticks(loop: LoopController, until: date, every: pd.Timedelta, flights: pd.DataFrame) -> Iterator[Tick]:
    """The stream of the year's flights from the end of the log to the beginning of the day `until`."""
    watermark = labels.read_watermark(loop.log)
    begin = pd.Timestamp(watermark, unit="s", tz="UTC") if watermark else loop.settings.now
    end = pd.Timestamp(until, tz=NEW_YORK).tz_convert("UTC")
    return replay(flights, begin, end, every)


def play(
    loop: LoopController,
    ticks: Iterable[Tick],
    on_decision: Callable[[Decision], None],
    on_night: Callable[[Tick, ReplayStats], None] = lambda _tick, _played: None,
) -> ReplayStats:
    """Send the ticks to the platform; each night the loop takes the turns that are due."""
    own = config.own(loop.settings)
    before = read_requests(own) or UserRequests()

    def take_turns() -> None:
        for decision in catch_up(loop):
            on_decision(decision)
        reloader.wait_for_workers(loop.home)  # the loop may have changed which version answers the next flights

    def after(tick: Tick, played: ReplayStats) -> None:
        keep_requests(own, UserRequests(before.made + played.requests, before.failed + played.failed))
        start, end = (at.tz_convert(NEW_YORK).date() for at in (tick.start, tick.end))
        if start < end:  # a day is over in New York: one may be closed
            take_turns()
            on_night(tick, played)
        reloader.wait_for_workers(loop.home)  # so may the labels of the tick, by a verdict

    take_turns()  # first those that a sudden end has cut off
    with client.PlatformClient.at(loop.home, "feed") as feed:
        return replay_over_http(ticks, client.read_addresses(loop.home)["service"], feed, after)


def clear_last_year(settings: Settings) -> Path:
    """Empty folders for a new run; the last run's stay in `level5-before`. Returns the platform's folder.

    Raises UserError if a platform runs here, or if PREDICTION_LOG names a log with predictions in it.
    """
    own = config.own(settings)
    if client.is_running(config.platform(settings)):
        raise UserError(f"a platform is running in {own}. Remedy: make down, or end it with Ctrl-C first.")
    if elsewhere := os.environ.get("PREDICTION_LOG"):
        with prediction_log.open_log(elsewhere) as log, log.connect() as connection:
            if connection.execute(sa.select(prediction_log.PREDICTIONS.c.request_id).limit(1)).first():
                raise UserError("PREDICTION_LOG: this log has predictions already. Remedy: name an empty one, or none.")
    set_aside(settings, own)
    config.own(settings)
    return config.platform(settings)
