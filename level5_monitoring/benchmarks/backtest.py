"""A stretch of the real year as the monitors would have seen it, with a fault in it or without; no server, no log."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from level2_devops.features import features
from level2_devops.model import predict_features
from level4_deployment.experiment import labels
from level5_monitoring.benchmarks.baseline_detectors import AlarmRatio, BaselineDetectors
from level5_monitoring.benchmarks.detection_metrics import SCALES
from level5_monitoring.fault_injection import FAULTS, inject_fault, inject_label_fault
from level5_monitoring.monitors import performance
from level5_monitoring.monitors.data_quality import check_contract
from level5_monitoring.monitors.drift import check_drift
from level5_monitoring.monitors.labels import check_labels
from level5_monitoring.monitors.monitor_result import MonitorResult
from level5_monitoring.monitors.reference import Reference
from level5_monitoring.monitors.window import as_window
from shared.data.replay import ASKED, TOLD
from shared.settings import NEW_YORK

VERSION = 1
WEEK = 7


@dataclass(frozen=True)
class BacktestPeriod:
    """What is looked at from `first` to `last` (days), and what its champion and the monitors know.

    flights: the year's, from a week before `first` on, with `day` and the champions' `probability`. since: the day on
    which the champion of this stretch went live. measured: how it did on the days from then to `first`.
    asked: figures that hang on what is asked alone, by day, without a fault; `look` fills it.
    """

    flights: pd.DataFrame
    since: str
    first: str
    last: str
    champion: Pipeline
    reference: Reference
    rivals: BaselineDetectors
    measured: list[performance.DayPerformance] = field(default_factory=list)
    asked: dict[str, list[AlarmRatio]] = field(default_factory=dict)


def run_period(stretch: BacktestPeriod, fault: str = "", size: int = 0, seed: int = 0) -> pd.DataFrame:
    """All figures of these days that come near a limit (judged.SEEN), with the fault from `first` on."""
    window = window_of(stretch, fault, size, seed)
    asked = stretch.asked
    if not asked or not fault or FAULTS[fault].apply_to_flights:
        asked = _of_asked(stretch, window)
    if not fault:
        stretch.asked.update(asked)
    told = _of_outcomes(stretch, window)
    seen = [(*one, day) for day in asked for one in asked[day] + told[day]]
    near = pd.DataFrame(seen, columns=[*AlarmRatio._fields, "day"])
    return near[near["ratio"] >= min(SCALES)]


def measure(window: pd.DataFrame) -> list[performance.DayPerformance]:
    """The performance of each day of a window, as the loop keeps it."""
    lines = [performance.measure(rows, VERSION) for _, rows in window.groupby("day")]
    return [line for line in lines if line]


def _of_asked(stretch: BacktestPeriod, window: pd.DataFrame) -> dict[str, list[AlarmRatio]]:
    """What monitors and rivals say of the flights as they were asked: each day, on Sundays also of the week."""
    table, reference = features(window), stretch.reference
    found, caught = {}, False
    for day, rows, week in _days(stretch, window):
        figures = stretch.rivals.look_at_day(table.loc[rows.index])
        if not caught:  # however wide the limits: later days could not be the first
            acts = [_as_seen("acts", finding) for finding in check_contract(rows, reference, day)]
            caught = bool(stretch.asked) and _surely_new(acts, stretch.asked[day])
            figures += acts
        if len(week):
            figures += [_as_seen("drift", finding) for finding in check_drift(week, reference)]
            figures += stretch.rivals.look_at_week(table.loc[week.index])
        found[day] = figures
    return found


def _of_outcomes(stretch: BacktestPeriod, window: pd.DataFrame) -> dict[str, list[AlarmRatio]]:
    """What they say of how the flights ended, and of the champion's answers to them."""
    lines = stretch.measured + measure(window[window["day"] >= stretch.first])
    measured = pd.DataFrame(lines, columns=performance.COLUMNS)
    found = {}
    for day, rows, week in _days(stretch, window):
        findings = check_labels(rows, day)
        findings.append(performance.check_expected_loss(day, VERSION, measured[measured["day"] <= day]))
        figures = [_as_seen("acts", finding) for finding in findings]
        found[day] = figures + (stretch.rivals.look_at_outcomes(week) if len(week) else [])
    return found


def _days(stretch: BacktestPeriod, window: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame, pd.DataFrame]]:
    """Each day with its flights, and on a Sunday those of the week that it ends; else none."""
    days, none = {str(day): rows for day, rows in window.groupby("day")}, window.iloc[:0]
    for day in pd.date_range(stretch.first, stretch.last):
        name, week = str(day.date()), none
        if day.weekday() == WEEK - 1:
            week = window[window["day"].isin(pd.date_range(end=day, periods=WEEK).strftime("%Y-%m-%d"))]
        yield name, days.get(name, none), week


def window_of(stretch: BacktestPeriod, fault: str = "", size: int = 0, seed: int = 0) -> pd.DataFrame:
    """The flights as asked, answered and ended, each day's outcomes as they were known when the day closed."""
    spoilt = stretch.flights["day"] >= stretch.first
    before, then = stretch.flights[~spoilt], stretch.flights[spoilt]
    if fault:
        asked = inject_fault(then[[*ASKED, "day", "probability"]], fault, size, seed)
        told = inject_label_fault(then.loc[then["late"].notna(), TOLD], fault, size, seed)
        chance = _answers(stretch.champion, asked, then)
        then = asked.assign(probability=chance).merge(told, how="left", on="flight_id")
    flights = pd.concat([before, then], ignore_index=True)
    closes = pd.to_datetime(flights["day"]).dt.tz_localize(NEW_YORK) + pd.DateOffset(days=1) + labels.LABELS_DUE_AFTER
    in_time = flights["label_known_at"] <= closes
    flights = flights.assign(
        late=flights["late"].where(in_time), label_known_at=flights["label_known_at"].where(in_time)
    )
    return as_window(flights, flights["probability"].to_numpy(), VERSION)


def _answers(champion: Pipeline, asked: pd.DataFrame, then: pd.DataFrame) -> NDArray[Any] | pd.Series:
    """The champion's answers, computed only where what it is asked has changed."""
    now, before = features(asked), features(then.loc[asked.index])
    return asked["probability"] if now.equals(before) else predict_features(champion, now)


def _surely_new(figures: list[AlarmRatio], before: list[AlarmRatio]) -> bool:
    """Whether one is an alarm at every scale, and was none at any."""
    quiet = {one[:3] for one in before if one.ratio < min(SCALES)}
    return any(one.ratio >= max(SCALES) and one[:3] in quiet for one in figures)


def _as_seen(watch: str, finding: MonitorResult) -> AlarmRatio:
    """A finding's distance to its limit, whichever side the limit is on."""
    value, threshold = finding.value, finding.threshold
    alarm = finding.state == "alarm"
    if value is None or not threshold or finding.state == "insufficient data":
        return AlarmRatio(watch, finding.monitor, finding.target, float("inf") if alarm else 0.0)
    ratio = value / threshold
    if (ratio < 1) == alarm:  # the limit is a lower one
        ratio = threshold / value if value > 0 else float("inf") if alarm else 0.0
    return AlarmRatio(watch, finding.monitor, finding.target, ratio)
