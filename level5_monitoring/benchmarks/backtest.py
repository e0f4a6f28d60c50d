"""Days of the real year as the monitors would have seen them, with a fault or without; no server and no log."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from level2_devops.features import features
from level2_devops.model import predict, predict_features
from level4_deployment.experiment import labels
from level5_monitoring.benchmarks.baseline_detectors import AlarmRatio, BaselineDetectors
from level5_monitoring.benchmarks.detection_metrics import FAULT_DAYS, RATIO, SCALES
from level5_monitoring.benchmarks.model_faults import MODEL_FAULTS
from level5_monitoring.live_year.fault_injection import FAULTS, inject_fault, inject_label_fault
from level5_monitoring.monitors import performance
from level5_monitoring.monitors.data_quality import check_contract
from level5_monitoring.monitors.drift import check_drift
from level5_monitoring.monitors.labels import check_labels
from level5_monitoring.monitors.monitor_result import MonitorResult
from level5_monitoring.monitors.performance import DayPerformance
from level5_monitoring.monitors.reference import Reference
from level5_monitoring.monitors.window import WEEK, as_window, is_end_of_week, week_of
from level5_monitoring.policy_backtest.models import shift
from shared.data.replay import LABEL_COLUMNS, REQUEST_COLUMNS
from shared.settings import NEW_YORK

VERSION, NO_VERSION = 1, 0  # of the champion; of the days before it, whose outcomes alone are known
RatiosByDay = dict[str, list[AlarmRatio]]


@dataclass(frozen=True)
class BacktestPeriod:
    """The days `first` to `last`, and what champion, monitors and baselines know when they begin.

    flights: the year's, from a week before `first` on, with `day` and the champion's `probability`. since: the day on
    which this champion went live. measured: the outcomes of BASE_DAYS days before that (NO_VERSION), and its daily
    performance from then to `first`. clean: the ratios of requests without a fault, which `run_period` keeps here.
    """

    flights: pd.DataFrame
    since: str
    first: str
    last: str
    champion: Pipeline
    reference: Reference
    baselines: BaselineDetectors
    measured: list[DayPerformance] = field(default_factory=list)
    clean: RatiosByDay = field(default_factory=dict)

    def base_rate(self) -> float:
        """The share late before the champion went live."""
        before = [(day.late_share, day.flights) for day in self.measured if day.version == NO_VERSION]
        shares, flights = np.array(before).T
        return float(np.average(shares, weights=flights))


def monthly_periods(
    flights: pd.DataFrame, champions: dict[str, Pipeline], reference: Reference, baselines: BaselineDetectors
) -> list[BacktestPeriod]:
    """A period for each month, by its first day; each has a champion of its own, which predicts all flights of it."""
    flights = flights.assign(day=flights["flight_id"].str[:10], probability=np.nan)
    outcomes = _outcomes(flights[flights["day"] >= shift(min(champions), -performance.BASE_DAYS)])
    flights = flights[flights["day"] >= min(champions)]
    ends = {month: str((pd.Timestamp(month) + pd.offsets.MonthEnd()).date()) for month in champions}
    for month, end in ends.items():
        rows = flights["day"].between(month, end)
        flights.loc[rows, "probability"] = predict(champions[month], flights[rows])
    periods = []
    for month, end in ends.items():
        rows = flights["day"].between(shift(month, -WEEK), end)
        before = [day for day in outcomes if shift(month, -performance.BASE_DAYS) <= day.day < month]
        known = champions[month], reference, baselines, before
        periods.append(BacktestPeriod(flights[rows], month, month, end, *known))
    return periods


def _outcomes(flights: pd.DataFrame) -> list[DayPerformance]:
    """What is known of days on which no champion was live."""
    days = flights.groupby("day")["late"].agg(["count", "mean"])
    return [DayPerformance(str(day), NO_VERSION, int(n), share, np.nan, np.nan) for day, n, share in days.itertuples()]


def fault_period(months: list[BacktestPeriod], date: str) -> BacktestPeriod:
    """FAULT_DAYS from `date` on; the champion of the month in which they begin predicts all of their flights."""
    month = max((month for month in months if month.since <= date), key=lambda month: month.since)
    last = shift(date, FAULT_DAYS - 1)
    before = window_of(month)
    before = before[before["day"].between(month.since, shift(date, -1))]
    flights = pd.concat([month.flights for month in months]).drop_duplicates("flight_id")
    flights = flights[flights["day"].between(shift(date, -WEEK), last)].copy()
    beyond = flights["day"] > month.last
    if beyond.any():
        flights.loc[beyond, "probability"] = predict(month.champion, flights[beyond])
    measured = month.measured + measure(before, month.measured)
    return replace(month, flights=flights, first=date, last=last, measured=measured, clean={})


def run_period(period: BacktestPeriod, fault: str = "", size: int = 0, seed: int = 0) -> pd.DataFrame:
    """All ratios of these days that are near a limit (columns RATIO), with the fault from `first` on."""
    window = window_of(period, fault, size, seed)
    labels_only = fault in MODEL_FAULTS or (bool(fault) and not FAULTS[fault].apply_to_flights)
    of_requests = period.clean if labels_only and period.clean else _check_requests(period, window)
    if not fault:
        period.clean.update(of_requests)
    of_labels = _check_labels(period, window)
    ratios = [(*one, day) for day in of_labels for one in of_requests[day] + of_labels[day]]
    table = pd.DataFrame(ratios, columns=RATIO)
    return table[table["ratio"] >= min(SCALES)]


def measure(window: pd.DataFrame, before: list[DayPerformance]) -> list[DayPerformance]:
    """The daily performance of a window, as the loop keeps it; before: of the days before it."""
    days = [*before]
    for _, rows in window.groupby("day"):
        rate = performance.base_rate(pd.DataFrame(days[-performance.BASE_DAYS :], columns=performance.COLUMNS))
        if day := performance.measure(rows, VERSION, rate=rate):
            days.append(day)
    return days[len(before) :]


def _check_requests(period: BacktestPeriod, window: pd.DataFrame) -> RatiosByDay:
    """The ratios that need no label: of each day, and on Sundays also of the week."""
    table, reference = features(window), period.reference
    ratios = {}
    for day, rows, week in _days(period, window):
        of_day = period.baselines.check_day(table.loc[rows.index])
        of_day += [_ratio("monitors", result) for result in check_contract(rows, reference, day)]
        if len(week):
            of_day += [_ratio("drift", result) for result in check_drift(week, reference, day)]
            of_day += period.baselines.check_week(table.loc[week.index])
        ratios[day] = of_day
    return ratios


def _check_labels(period: BacktestPeriod, window: pd.DataFrame) -> RatiosByDay:
    """The ratios that need labels: of the labels themselves, and of the champion's performance."""
    days = period.measured + measure(window[window["day"] >= period.first], period.measured)
    measured = pd.DataFrame(days, columns=performance.COLUMNS)
    ratios = {}
    for day, rows, week in _days(period, window):
        results = check_labels(rows, day)
        results += performance.check_champion(day, VERSION, measured[measured["day"] <= day])
        of_week = period.baselines.check_labels(week) if len(week) else []
        ratios[day] = [_ratio("monitors", result) for result in results] + of_week
    return ratios


def _days(period: BacktestPeriod, window: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame, pd.DataFrame]]:
    """Each day with its flights, and with those of the week that ends on it, which is empty unless it is a Sunday."""
    days, none = {str(day): rows for day, rows in window.groupby("day")}, window.iloc[:0]
    for day in map(str, pd.date_range(period.first, period.last).date):
        week = window[window["day"].isin(week_of(day))] if is_end_of_week(day) else none
        yield day, days.get(day, none), week


def window_of(period: BacktestPeriod, fault: str = "", size: int = 0, seed: int = 0) -> pd.DataFrame:
    """The period's flights as a window of the monitors, each with its label if known when its day is closed."""
    affected = period.flights["day"] >= period.first
    before, after = period.flights[~affected], period.flights[affected]
    if fault in MODEL_FAULTS:
        probability = after["probability"].to_numpy(float)
        after = after.assign(probability=MODEL_FAULTS[fault].apply(probability, period.base_rate(), size))
    elif fault:
        requests = inject_fault(after[[*REQUEST_COLUMNS, "day", "probability"]], fault, size, seed)
        known = inject_label_fault(after.loc[after["late"].notna(), LABEL_COLUMNS], fault, size, seed)
        predicted = _predictions(period.champion, requests, after)
        after = requests.assign(probability=predicted).merge(known, how="left", on="flight_id")
    flights = pd.concat([before, after], ignore_index=True)
    closed = pd.to_datetime(flights["day"]).dt.tz_localize(NEW_YORK) + pd.DateOffset(days=1) + labels.LABELS_DUE_AFTER
    flights["late"] = flights["late"].where(flights["label_known_at"] <= closed)
    return as_window(flights, flights["probability"].to_numpy(), VERSION)


def _predictions(champion: Pipeline, requests: pd.DataFrame, before: pd.DataFrame) -> NDArray[Any] | pd.Series:
    """The champion's probabilities, computed only if the fault has changed its inputs."""
    faulty, clean = features(requests), features(before.loc[requests.index])
    return requests["probability"] if faulty.equals(clean) else predict_features(champion, faulty)


def _ratio(detector: str, result: MonitorResult) -> AlarmRatio:
    return AlarmRatio(detector, result.monitor, result.target, result.alarm_ratio)
