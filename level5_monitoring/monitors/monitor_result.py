"""What a monitor says of a day: the one kind of evidence that decisions are made from."""

from dataclasses import dataclass
from typing import Literal

Monitor = Literal["contract", "features", "labels", "drift", "performance", "watch", "disaster"]
State = Literal["ok", "alarm", "insufficient data"]


@dataclass(frozen=True)
class MonitorResult:
    """What one monitor saw of one subject in a window of flights.

    day: the window's last day of departure in New York, YYYY-MM-DD. subject: a column, a feed, or "version 3".
    says: one sentence for people. rows: flights behind it. value and limit: in the unit that `says` names.
    """

    day: str
    monitor: Monitor
    subject: str
    state: State
    says: str
    rows: int
    value: float | None = None
    limit: float | None = None


def version_of(subject: str) -> int:
    """3, of the subject "version 3"."""
    return int(subject.removeprefix("version "))
