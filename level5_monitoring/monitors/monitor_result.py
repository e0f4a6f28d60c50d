"""The result of a monitor: the one kind of evidence that decisions are made from."""

import math
from dataclasses import dataclass
from typing import Any, Literal

Monitor = Literal[
    "contract",
    "volume",
    "labels",
    "drift",
    "calibration",
    "calibration_slope",
    "skill",
    "regression_vs_previous",
    "severe_regression",
]
State = Literal["ok", "alarm", "insufficient data"]
CHAMPION = "champion"  # the target of the monitors of performance
OF_LABELS = {"labels": "label count", "late": "label values"}  # the targets of that monitor, for people


@dataclass(frozen=True)
class MonitorResult:
    """What one monitor measured of one target in a window of flights.

    day: the window's last day of departure in New York, YYYY-MM-DD. target: a column, an airport, a feed, or CHAMPION.
    message: one sentence for people. rows: flights behind it. value and threshold: in the unit that `message` names.
    version: the champion's, for monitors of its performance.
    """

    day: str
    monitor: Monitor
    target: str
    state: State
    message: str
    rows: int
    value: float | None = None
    threshold: float | None = None
    version: int | None = None

    @property
    def alarm_key(self) -> tuple[str, str, int]:
        """Identifies an alarm from one day to the next."""
        return self.monitor, self.target, self.version or 0

    @property
    def described_target(self) -> str:
        """The target, for people: "temp", or "champion (version 3)"."""
        if self.monitor == "labels":
            return OF_LABELS.get(self.target, self.target)
        return self.target if self.version is None else f"{self.target} (version {self.version})"

    @property
    def alarm_ratio(self) -> float:
        """Value / threshold, or the inverse of a lower threshold: how near it is to an alarm, which is above 1."""
        alarm, value, threshold = self.state == "alarm", self.value, self.threshold
        if value is None or not threshold or self.state == "insufficient data":
            return math.inf if alarm else 0.0
        ratio = value / threshold
        if (ratio < 1) == alarm:  # a lower threshold
            return threshold / value if value > 0 else math.inf if alarm else 0.0
        return ratio


def above(threshold: float, value: float, **result: Any) -> MonitorResult:
    """A result that is an alarm if the value is above the threshold; result: the other fields."""
    return MonitorResult(state="alarm" if value > threshold else "ok", value=value, threshold=threshold, **result)


def below(threshold: float, value: float, **result: Any) -> MonitorResult:
    """A result that is an alarm if the value is below the threshold; result: the other fields."""
    return MonitorResult(state="alarm" if value < threshold else "ok", value=value, threshold=threshold, **result)


def insufficient(**result: Any) -> MonitorResult:
    """A result without enough data; result: the other fields."""
    return MonitorResult(state="insufficient data", **result)


def in_words(name: str) -> str:
    """A machine name as people read it: "roll back" for roll_back."""
    return "non-inferior" if name == "non_inferior" else name.replace("_", " ")
