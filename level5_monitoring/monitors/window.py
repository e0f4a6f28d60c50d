"""A window: flights of closed days as they were asked for, what was answered, and how they ended."""

import json
from typing import Any

import pandas as pd
import sqlalchemy as sa
from numpy.typing import ArrayLike

from level4_deployment.experiment import labels
from level4_deployment.prediction_log import LABELS, PREDICTIONS, QUARANTINED_LABELS
from shared.data.schema import KNOWN_BEFORE
from shared.settings import NEW_YORK

TIMES = ["scheduled_departure", "scheduled_arrival"]
CODES = ["carrier", "origin", "dest"]
NUMBERS = [name for name in KNOWN_BEFORE if name not in TIMES + CODES]
ANSWERED = ["flight_id", "day", "version", "probability", "late", "known_at"]  # beside KNOWN_BEFORE


def closed_days(log: sa.Engine, after: str | None) -> list[str]:
    """The days of departure (New York) that the watermark has closed, oldest first, after `after`."""
    watermark = labels.read_watermark(log)
    with log.connect() as connection:
        first = connection.execute(sa.select(sa.func.min(PREDICTIONS.c.departs_at))).scalar()
    if watermark is None or first is None:
        return []
    last = pd.Timestamp(watermark, unit="s", tz=NEW_YORK) - labels.LABELS_DUE_AFTER - pd.DateOffset(days=1)
    days = pd.date_range(pd.Timestamp(first, unit="s", tz=NEW_YORK).date(), last.date())
    return [str(day.date()) for day in days if after is None or str(day.date()) > after]


def read_window(log: sa.Engine, first: str, last: str) -> pd.DataFrame:
    """The flights that were to depart from day `first` to day `last`, each by its first answer, as of their closing.

    Columns: ANSWERED and KNOWN_BEFORE; late is NaN where no outcome was known when the last day closed, or where
    outcomes contradict each other. Whoever looks later sees the same.
    """
    begin, end = pd.Timestamp(first, tz=NEW_YORK), pd.Timestamp(last, tz=NEW_YORK) + pd.DateOffset(days=1)
    in_time = LABELS.c.known_at <= (end + labels.LABELS_DUE_AFTER).timestamp()
    undisputed = LABELS.c.flight_id.not_in(sa.select(QUARANTINED_LABELS.c.flight_id))
    wanted = (PREDICTIONS.c.flight_id, PREDICTIONS.c.version, PREDICTIONS.c.probability, PREDICTIONS.c.request_payload)
    told = PREDICTIONS.outerjoin(LABELS, sa.and_(LABELS.c.flight_id == PREDICTIONS.c.flight_id, in_time, undisputed))
    query = (
        sa.select(*wanted, LABELS.c.late, LABELS.c.known_at)
        .select_from(told)
        .where(PREDICTIONS.c.departs_at >= begin.timestamp(), PREDICTIONS.c.departs_at < end.timestamp())
        .order_by(PREDICTIONS.c.asked_at)
    )
    with log.connect() as connection:
        names = [*(column.name for column in wanted), "late", "known_at"]
        found = pd.DataFrame(connection.execute(query).all(), columns=names).drop_duplicates("flight_id")
    asked = pd.DataFrame(json.loads(f"[{','.join(found.pop('request_payload'))}]"), index=found.index)
    asked = asked.reindex(columns=list(KNOWN_BEFORE)).astype(dict.fromkeys(NUMBERS, float))
    for name in TIMES:
        asked[name] = pd.to_datetime(asked[name], utc=True)
    day = _day(asked["scheduled_departure"])
    numbers = found.astype({"late": float, "known_at": float, "probability": float})
    return pd.concat([numbers.assign(day=day), asked], axis=1)[[*ANSWERED, *KNOWN_BEFORE]].reset_index(drop=True)


def as_window(flights: pd.DataFrame, probability: ArrayLike, version: int = 1) -> pd.DataFrame:
    """Flights of the year's table in the shape of a window, with what a model says of them."""
    known_at = flights["label_known_at"].astype("int64") / 1e6
    answered: dict[str, Any] = {
        "day": _day(flights["scheduled_departure"]),
        "version": version,
        "probability": probability,
        "known_at": known_at.where(flights["label_known_at"].notna()),
    }
    return flights.assign(**answered)[[*ANSWERED, *KNOWN_BEFORE]].reset_index(drop=True)


def _day(departure: pd.Series) -> pd.Series:
    """The day in New York; strftime takes 60 times as long, 20 ms for a day's flights."""
    return departure.dt.tz_convert(NEW_YORK).dt.tz_localize(None).dt.to_period("D").astype(str)
