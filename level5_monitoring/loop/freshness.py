"""Whether outcomes still come. Once they do not, no day closes: no turn, no training, no verdict, and no monitor looks.

The other way round, flights that are no longer asked for while outcomes go on leave days empty; those close, and the
monitor `features` names the airports that fell silent.
"""

from dataclasses import dataclass

import pandas as pd
import sqlalchemy as sa

from level4_deployment.experiment import labels
from level4_deployment.prediction_log import PREDICTIONS
from level5_monitoring.loop import loop_store
from level5_monitoring.loop.alerts import Alert
from shared.settings import NEW_YORK

BEHIND = labels.LABELS_DUE_AFTER + pd.Timedelta(days=2)  # outcomes behind flights: no day was closed when two should be
CAUGHT_UP = labels.LABELS_DUE_AFTER  # and when they are back: not the same, or a feed near the limit would ring daily
FEWEST = 100  # flights beyond an instant that make it the newest: a few with wrong times wake nobody
STOPPED, BACK = "outcomes-stopped-", "outcomes-back-"  # keys of alerts, with the number of the stall


@dataclass(frozen=True)
class Feeds:
    """How far both have come. flights: the newest departure that was asked for; outcomes: the watermark."""

    flights: pd.Timestamp
    labels: pd.Timestamp


def look(log: sa.Engine) -> None:
    """Put into the outbox what is new about the outcomes: that they have stopped, or are back; each stall once."""
    feeds = read_feeds(log)
    if feeds and (alert := news(feeds, loop_store.count_alerts(log, STOPPED), loop_store.count_alerts(log, BACK))):
        loop_store.enqueue_alerts(log, [alert])


def read_feeds(log: sa.Engine) -> Feeds | None:
    """How far the feeds have come by the log; None before FEWEST flights. Without a watermark, nothing has come yet."""
    departs = PREDICTIONS.c.departs_at
    with log.connect() as connection:
        newest = connection.execute(sa.select(departs).order_by(departs.desc()).offset(FEWEST - 1).limit(1)).scalar()
        first = connection.execute(sa.select(sa.func.min(departs))).scalar()
    if first is None or newest is None:
        return None
    watermark = labels.read_watermark(log)
    known = first if watermark is None else watermark
    return Feeds(pd.Timestamp(newest, unit="s", tz=NEW_YORK), pd.Timestamp(known, unit="s", tz=NEW_YORK))


def news(feeds: Feeds, stopped: int, back: int) -> Alert | None:
    """The alert that is due, if one is: pure. stopped, back: how often either was told so far."""
    behind, day = feeds.flights - feeds.labels, str(feeds.flights.date())
    asked, known = (f"{at:%Y-%m-%d %H:%M}" for at in (feeds.flights, feeds.labels))
    message = f"flights are asked for until {asked}, outcomes are known until {known} (New York)"
    if stopped == back and behind > BEHIND:
        text = f"{message}: until they come, no day closes, nothing is trained, and no experiment gets a verdict"
        return Alert(f"{STOPPED}{stopped + 1}", day, "page", "outcomes have stopped", text)
    if stopped > back and behind <= CAUGHT_UP:
        return Alert(f"{BACK}{stopped}", day, "info", "outcomes are back", message)
    return None
