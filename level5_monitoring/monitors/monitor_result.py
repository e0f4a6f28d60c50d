"""What a monitor says of a day: the one kind of evidence that decisions are made from."""

from dataclasses import dataclass
from typing import Literal

Monitor = Literal["contract", "volume", "labels", "drift", "performance", "regression_vs_previous", "severe_regression"]
State = Literal["ok", "alarm", "insufficient data"]


@dataclass(frozen=True)
class MonitorResult:
    """What one monitor saw of one subject in a window of flights.

    day: the window's last day of departure in New York, YYYY-MM-DD. subject: a column, a feed, or "version 3".
    says: one sentence for people. rows: flights behind it. value and limit: in the unit that `says` names.
    """

    day: str
    monitor: Monitor
    target: str
    state: State
    message: str
    rows: int
    value: float | None = None
    threshold: float | None = None


def version_of(target: str) -> int:
    """3, of the subject "version 3"."""
    return int(target.removeprefix("version "))


def in_words(name: str) -> str:
    """A machine name as people read it: "roll back" for roll_back."""
    return name.replace("_", " ")
