"""Freshness of the label feed: while no labels arrive, no day closes, so nothing is monitored, trained or decided.

If flights stop arriving but labels go on, days close empty, and the monitor `volume` reports the silent airports.
"""

from statistics import median

import pandas as pd
import sqlalchemy as sa

from level4_deployment.experiment import labels
from level4_deployment.prediction_log import PREDICTIONS
from level5_monitoring.loop import outbox
from level5_monitoring.loop.alerts import Alert
from shared.settings import NEW_YORK

STALLED = labels.LABELS_DUE_AFTER + pd.Timedelta(days=2)  # labels behind flights: two days should have closed by then
CAUGHT_UP = labels.LABELS_DUE_AFTER  # lower than STALLED, so that a feed near the limit causes no daily alerts
MIN_FLIGHTS = 100  # of the last requests, fewer than so many with wrong times cause no alert
OF_FEEDS = 2000  # number of an alert that follows from no decision: after those that do


def check_freshness(log: sa.Engine) -> None:
    """Put an alert into the outbox if the label feed has stopped or is back; one of each for a stall."""
    progress = read_progress(log)
    kinds = [one.kind for one in outbox.alerts(log)]
    if progress and (alert := freshness_alert(*progress, kinds.count("labels_stopped"), kinds.count("labels_back"))):
        with log.begin() as connection:
            outbox.put(log, connection, [alert], first=OF_FEEDS)


def read_progress(log: sa.Engine) -> tuple[pd.Timestamp, pd.Timestamp] | None:
    """How far the flights have come, and the watermark of the labels; None before MIN_FLIGHTS flights.

    Flights: the median departure of the last requests, whose ids begin with the time. It follows the stream: the newest
    departure of all would be a wrong one for ever. Before the first watermark no label has arrived: the oldest
    departure stands for it.
    """
    departs = PREDICTIONS.c.departs_at
    last = sa.select(departs).order_by(PREDICTIONS.c.request_id.desc()).limit(2 * MIN_FLIGHTS - 1)
    with log.connect() as connection:
        recent = connection.execute(last).scalars().all()
        first = connection.execute(sa.select(sa.func.min(departs))).scalar()
    watermark = labels.read_watermark(log)
    known = first if watermark is None else watermark
    if len(recent) < MIN_FLIGHTS or known is None:
        return None
    flights = median(recent)
    return pd.Timestamp(flights, unit="s", tz=NEW_YORK), pd.Timestamp(known, unit="s", tz=NEW_YORK)


def freshness_alert(flights: pd.Timestamp, known: pd.Timestamp, stopped: int, back: int) -> Alert | None:
    """The alert that is due, if one is: pure. flights, known: of `read_progress`. stopped, back: how many there are."""
    behind, day = flights - known, str(flights.date())
    until = "flights are predicted until {:%Y-%m-%d %H:%M}, labels are known until {:%Y-%m-%d %H:%M} (New York)"
    message = until.format(flights, known)
    if stopped == back and behind > STALLED:
        text = f"{message}: until labels arrive, no day closes, nothing is trained, and no experiment gets a verdict"
        return Alert(f"labels-stopped-{stopped + 1}", day, "page", "labels have stopped", text, "labels_stopped")
    if stopped > back and behind <= CAUGHT_UP:
        return Alert(f"labels-back-{stopped}", day, "info", "labels are back", message, "labels_back")
    return None
