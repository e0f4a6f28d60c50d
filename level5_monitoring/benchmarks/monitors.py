"""How good the monitors are: every fault, in three sizes, at twenty dates of the real year, beside what others use.

It replays April to December offline. Each month has a champion trained on what was known when it began; a fault
lasts 14 days and meets the champion of the month that it begins in.
"""

import json
import os
import shutil
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import log_loss
from sklearn.pipeline import Pipeline

from level2_devops.model import fit, predict
from level3_training_pipeline.pipeline import data, tune
from level5_monitoring import config
from level5_monitoring.benchmarks.backtest import WEEK, BacktestPeriod, measure, run_period, window_of
from level5_monitoring.benchmarks.baseline_detectors import BaselineDetectors, fit_baseline_detectors
from level5_monitoring.benchmarks.detection_metrics import CASE, DAYS, ONE, curve, detections, false_alarms, summary
from level5_monitoring.benchmarks.tables import show_tables
from level5_monitoring.fault_injection import FAULTS
from level5_monitoring.monitors.reference import Reference, build_reference
from shared.console import bar, console, step
from shared.data.flights import load_flights
from shared.data.split import future, history
from shared.errors import command
from shared.settings import NEW_YORK, Settings

START, END = "2013-04-01", "2013-12-31"
DATES = [str(day.date()) for day in pd.date_range("2013-04-04", "2013-12-15", periods=20)]  # when faults begin
PICTURE = Path(__file__).parents[1] / "pictures" / "judge.png"


def train(known: pd.DataFrame) -> Pipeline:
    """A champion, by the recipe of level 3's pipeline."""
    return fit(known, **tune.START)


def inject(task: tuple[BacktestPeriod, str, list[str]]) -> pd.DataFrame:
    """All faults in all sizes at one date, and the same days without: SEEN, CASE, number of the day, clean."""
    stretch, date, faults = task
    seed = int(date.replace("-", ""))
    clean = run_period(stretch).rename(columns={"ratio": "clean"})
    parts = []
    for fault in faults:
        for size in (1, 2, 3):
            seen = run_period(stretch, fault, size, seed).assign(fault=fault, size=size, date=date)
            if seen.empty:  # a case in which nothing was near a limit is a case
                seen.loc[0, [*CASE, "ratio", "day"]] = [fault, size, date, 0.0, date]
            parts.append(seen)
    table = pd.concat(parts, ignore_index=True).merge(clean, how="left", on=[*ONE, "day"])
    return table.assign(number=_number(table["day"], date))


def _number(day: pd.Series, first: str) -> pd.Series:
    return (pd.to_datetime(day) - pd.Timestamp(first)).dt.days + 1


def begins(day: str) -> pd.Timestamp:
    """Midnight in New York."""
    return pd.Timestamp(day, tz=NEW_YORK)


def rivals_and_ours(flights: pd.DataFrame) -> tuple[Reference, BaselineDetectors]:
    """What is known on the first day: the reference of each."""
    known, march = history(flights, begins(START)), future(history(flights, begins(START)), begins("2013-03-01"))
    chance = predict(train(history(flights, begins("2013-03-01"))), march)
    return build_reference(known), fit_baseline_detectors(known, float(log_loss(march["late"], chance)))


def stretches(
    flights: pd.DataFrame, champions: dict[str, Pipeline], known: tuple[Reference, BaselineDetectors]
) -> list[BacktestPeriod]:
    """The months, each with its champion, with what it and the one before have answered."""
    flights = flights.assign(day=flights["flight_id"].str[:10], probability=np.nan)
    flights = flights[flights["day"] >= START]
    months = list(champions)
    ends = [str((pd.Timestamp(month) + pd.offsets.MonthEnd()).date()) for month in months]
    for month, end in zip(months, ends, strict=True):
        rows = flights["day"].between(month, end)
        flights.loc[rows, "probability"] = predict(champions[month], flights[rows])
    return [
        BacktestPeriod(
            flights[flights["day"].between(_day(month, -WEEK), end)], month, month, end, champions[month], *known
        )
        for month, end in zip(months, ends, strict=True)
    ]


def _day(day: str, shift: int) -> str:
    return str((pd.Timestamp(day) + pd.Timedelta(days=shift)).date())


def at_date(months: list[BacktestPeriod], date: str) -> BacktestPeriod:
    """The fortnight from `date` on, all of it answered by the champion of the month in which it begins."""
    own = max((month for month in months if month.since <= date), key=lambda month: month.since)
    last = _day(date, DAYS - 1)
    before = window_of(own)
    before = before[before["day"].between(own.since, _day(date, -1))]
    flights = pd.concat([month.flights for month in months]).drop_duplicates("flight_id")
    flights = flights[flights["day"].between(_day(date, -WEEK), last)].copy()
    beyond = flights["day"] > own.last
    if beyond.any():
        flights.loc[beyond, "probability"] = predict(own.champion, flights[beyond])
    return replace(own, flights=flights, first=date, last=last, measured=measure(before), asked={})


def judge(
    flights: pd.DataFrame, dates: list[str], faults: list[str], workers: int
) -> tuple[pd.DataFrame, pd.DataFrame, int]:
    """What was seen with faults, and without on so many days. A process takes one date or month at a time."""
    months = [str(day.date()) for day in pd.date_range(START, END, freq="MS")]
    months = [month for month in months if month <= _day(max(dates), DAYS)]
    with step("What is known on the first day"):
        known = rivals_and_ours(flights)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        learned = (data.sample(history(flights, begins(month)), begins(month)) for month in months)
        with bar(f"Train {len(months)} champions", len(months)) as advance:
            champions = {}
            for month, model in zip(months, pool.map(train, learned), strict=True):
                champions[month] = model
                advance()
        parts = stretches(flights, champions, known)
        tasks = [(at_date(parts, date), date, faults) for date in dates]
        cases = len(dates) * len(faults) * 3
        clean: list[pd.DataFrame] = []
        spoilt: list[pd.DataFrame] = []
        with bar(f"{cases} faults, and {len(months)} months without", len(parts) + len(tasks)) as advance:
            for results, tables in ((pool.map(run_period, parts), clean), (pool.map(inject, tasks), spoilt)):
                for table in results:
                    tables.append(table)
                    advance()
    without = pd.concat(clean, ignore_index=True)
    days = len(pd.date_range(parts[0].first, parts[-1].last))
    return pd.concat(spoilt, ignore_index=True), without.assign(number=_number(without["day"], START)), days


def keep(settings: Settings, spoilt: pd.DataFrame, clean: pd.DataFrame, days: int, seconds: float) -> None:
    """Write the figures and the picture."""
    folder = config.own(settings) / "judge"
    folder.mkdir(parents=True, exist_ok=True)
    found, false = detections(spoilt), false_alarms(clean, days)
    points = curve(spoilt, clean, days)
    figures = {
        "seconds": round(seconds, 1),
        "days without a fault": days,
        "faults": summary(found, ["method", "fault", "size"]).to_dict("records"),
        "false alarms per 30 days": false.to_dict("index"),
        "curve": points.to_dict("records"),
        "false alerts": clean.query("ratio >= 1").groupby(ONE).size().rename("times").reset_index().to_dict("records"),
    }
    (folder / "judge.json").write_text(json.dumps(figures, indent=1, default=float))
    os.environ.setdefault("MPLCONFIGDIR", str(config.own(settings) / "matplotlib"))  # read on import
    from level5_monitoring.benchmarks.plots import judge_plot

    judge_plot(points, days).savefig(folder / "judge.png")
    console.print(f"  kept: {folder / 'judge.json'}, judge.png beside it")


def main() -> None:
    """Judge on all dates and faults; the picture is the README's, too."""
    begun, settings = time.perf_counter(), config.configure()
    flights = load_flights(settings)
    spoilt, clean, days = judge(flights, DATES, list(FAULTS), min(2, os.cpu_count() or 1))
    show_tables(detections(spoilt), false_alarms(clean, days), days)
    keep(settings, spoilt, clean, days, time.perf_counter() - begun)
    PICTURE.parent.mkdir(exist_ok=True)
    shutil.copy(config.own(settings) / "judge" / "judge.png", PICTURE)


if __name__ == "__main__":
    command(main)
