"""The features of a validated request, without a table: the values that the model was trained on, bit for bit."""

from operator import attrgetter
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from level2_devops.features import CATEGORIES
from level4_deployment.serving.package import Numbers, Strings
from shared.data.schema import RECENT_DELAYS, WEATHER
from shared.settings import NEW_YORK

Row = tuple[tuple[str, ...], tuple[float | None, ...]]  # a line of each tensor; what is not known is None

_ZONE = ZoneInfo(NEW_YORK)
_codes = attrgetter(*CATEGORIES)
_as_sent = attrgetter(*WEATHER, *RECENT_DELAYS)


def row_of(flight: Any) -> Row:
    """The features of a flight, defined as level 2's `features` defines them."""
    leaves, distance = flight.scheduled_departure, flight.distance
    local = leaves.astimezone(_ZONE)
    minutes = (flight.scheduled_arrival - leaves).total_seconds() / 60
    times = (local.hour * 60 + local.minute, local.weekday(), minutes, distance / minutes * 60)
    return _codes(flight), (distance, *times, *_as_sent(flight))


def tensors(rows: list[Row]) -> tuple[Strings, Numbers]:
    """Both tensors of some rows; None becomes NaN."""
    return np.array([codes for codes, _ in rows], object), np.array([numbers for _, numbers in rows], np.float32)
