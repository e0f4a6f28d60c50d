"""`make benchmark-monitors`: every fault, in three sizes, at twenty dates, for the monitors and for other detectors.

April to December are replayed offline. Each month has a champion trained on what was known when it began; a fault
lasts FAULT_DAYS, on which the champion of the month in which it begins makes the predictions.
"""

import os
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd
from sklearn.pipeline import Pipeline

from level2_devops.model import fit, predict
from level3_training_pipeline.pipeline import data, tune
from level5_monitoring import config
from level5_monitoring.benchmarks.backtest import BacktestPeriod, fault_period, monthly_periods, run_period
from level5_monitoring.benchmarks.baseline_detectors import BaselineDetectors, fit_baseline_detectors
from level5_monitoring.benchmarks.champions import MONITORS, SOUND, by_champion, first_alarms
from level5_monitoring.benchmarks.detection_metrics import (
    ALARM,
    CASE,
    FAULT_DAYS,
    INPUTS,
    KINDS,
    METHODS,
    OURS,
    WITH_DRIFT,
    curve,
    detections,
    false_alarm_rates,
    kind_of,
    own_false_alarms,
    summary,
)
from level5_monitoring.benchmarks.model_faults import ALL_FAULTS
from level5_monitoring.monitors.monitor_result import in_words
from level5_monitoring.monitors.reference import Reference, build_reference
from level5_monitoring.policy_backtest.models import midnight, shift
from shared import pictures
from shared.console import bar, console, show_table, step
from shared.data.flights import load_flights
from shared.data.split import future, history
from shared.pictures import CHAMPION, NEUTRAL
from shared.score import score
from shared.settings import Settings

if TYPE_CHECKING:
    from matplotlib.figure import Figure

START, END = "2013-04-01", "2013-12-31"
DATES = [str(day.date()) for day in pd.date_range("2013-04-04", "2013-12-15", periods=20)]  # when faults begin
OF_LABELS = [OURS, "log loss +10%, weekly"]  # the methods that look at labels
CROWDED = 28  # days in alarm, of 30: methods beyond it are named beside the picture
PICTURE = Path(__file__).parents[1] / "pictures" / "judge.png"  # of the README


class Measured(NamedTuple):
    """Ratios with faults, ratios without and the number of days without, and the first alarms of faulty champions."""

    faulty: pd.DataFrame
    clean: pd.DataFrame
    days: int
    champions: pd.DataFrame


def run_benchmark(flights: pd.DataFrame, dates: list[str], faults: list[str], workers: int) -> Measured:
    """Run every case; each process takes one date or month."""
    months = [str(day.date()) for day in pd.date_range(START, END, freq="MS")]
    months = [month for month in months if month <= shift(max(dates), FAULT_DAYS)]
    with step("Learn what is known on the first day"):
        known = learn(flights)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        samples = (data.sample(history(flights, midnight(month)), midnight(month)) for month in months)
        with bar(f"Train {len(months)} champions", len(months)) as advance:
            champions = {}
            for month, model in zip(months, pool.map(train, samples), strict=True):
                champions[month] = model
                advance()
        periods = monthly_periods(flights, champions, *known)
        tasks = [(fault_period(periods, date), date, faults) for date in dates]
        cases = len(dates) * len(faults) * 3
        clean: list[pd.DataFrame] = []
        faulty: list[pd.DataFrame] = []
        champion: list[pd.DataFrame] = []
        with bar(f"{cases} faults, and {len(months)} months without", 2 * len(periods) + len(tasks)) as advance:
            runs = (run_period, periods, clean), (first_alarms, periods, champion), (run_faults, tasks, faulty)
            for results, tables in [(pool.map(run, over), tables) for run, over, tables in runs]:
                for table in results:
                    tables.append(table)
                    advance()
    without = pd.concat(clean, ignore_index=True)
    days = len(pd.date_range(periods[0].first, periods[-1].last))
    without = without.assign(number=_number(without["day"], START))
    return Measured(pd.concat(faulty, ignore_index=True), without, days, pd.concat(champion, ignore_index=True))


def learn(flights: pd.DataFrame) -> tuple[Reference, BaselineDetectors]:
    """What the monitors and the other detectors know on the first day: the history, and a log loss on March."""
    known, march = history(flights, midnight(START)), future(history(flights, midnight(START)), midnight("2013-03-01"))
    probability = predict(train(history(flights, midnight("2013-03-01"))), march)
    return build_reference(known), fit_baseline_detectors(known, score(march["late"], probability).log_loss)


def train(known: pd.DataFrame) -> Pipeline:
    """A champion, by the recipe of level 3's pipeline."""
    return fit(known, **tune.START)


def run_faults(task: tuple[BacktestPeriod, str, list[str]]) -> pd.DataFrame:
    """All faults in all sizes at one date: RATIO, CASE, the day's number, and `clean`, the ratio without the fault."""
    period, date, faults = task
    seed = int(date.replace("-", ""))
    clean = run_period(period).rename(columns={"ratio": "clean"})
    parts = []
    for fault in faults:
        for size in (1, 2, 3):
            ratios = run_period(period, fault, size, seed).assign(fault=fault, size=size, date=date)
            if ratios.empty:  # a case in which no ratio is near a limit is a case as well
                ratios.loc[0, [*CASE, "ratio", "day"]] = [fault, size, date, 0.0, date]
            parts.append(ratios)
    table = pd.concat(parts, ignore_index=True).merge(clean, how="left", on=[*ALARM, "day"])
    return table.assign(number=_number(table["day"], date))


def _number(day: pd.Series, first: str) -> pd.Series:
    return (pd.to_datetime(day) - pd.Timestamp(first)).dt.days + 1


def show_tables(measured: Measured) -> None:
    """Print what this level's monitors find of each fault, all methods beside each other, and false alarms."""
    found = detections(measured.faulty)
    kinds = found["fault"].map(kind_of)
    console.print()
    for kind in KINDS:
        if (kinds == kind).any():
            _show_ours(found[kinds == kind], kind)
            _show_methods(found[kinds == kind], kind)
    _show_false_alarms(measured.clean, measured.days)
    _show_champions(measured.champions)
    console.print(
        "  Delay: median days until a fault is found (-: half are missed, or more).\n"
        "  Attributed: of those found, by an alarm that names what is wrong.\n"
        "  Missed incl. drift: where alarms of drift, which only informs, count as well.\n"
        "  An alarm that is also there without the fault does not find it.\n"
        "  A week in alarm is seven days. An error of a detector counts as its alarm.\n"
        "  False alarm: one that leads to an action and begins without an injected fault.\n"
        "  Day of the first alarm: the median of the months with one; from day 14 on."
    )


def _show_ours(found: pd.DataFrame, kind: str) -> None:
    ours = _as_text(found[found["method"] == OURS], ["fault", "size"])
    with_drift = summary(found[found["method"] == WITH_DRIFT], ["fault", "size"])["missed"].astype(str)
    sizes = [ALL_FAULTS[fault].sizes[size - 1] for fault, size in zip(ours["fault"], ours["size"], strict=True)]
    detected_by = ours["detected_by"].map(in_words)
    rows = ours.assign(fault=ours["fault"] + ", " + sizes, with_drift=with_drift, detected_by=detected_by)
    columns = ["Fault", "delay", "missed", "attributed", "missed\nincl.\ndrift", "detected by"]  # 80 columns wide
    cells = rows[["fault", "delay", "of_cases", "attributed", "with_drift", "detected_by"]].to_numpy().tolist()
    cases = len(found) // len(METHODS)
    show_table(f"Faults of {kind}: this level's monitors, on {cases} faults of {FAULT_DAYS} days", columns, cells)


def _show_methods(found: pd.DataFrame, kind: str) -> None:
    methods = [*METHODS] if kind == INPUTS else OF_LABELS
    text = _as_text(found, ["method"]).set_index("method").loc[methods, ["delay", "of_cases", "attributed"]]
    columns = ["Method", "delay", "missed", "attributed"]
    show_table(f"Faults of {kind}: all methods that look at them", columns, [list(row) for row in text.itertuples()])


def _show_false_alarms(clean: pd.DataFrame, days: int) -> None:
    rates = false_alarm_rates(clean, days)
    rows = [
        [str(method), f"{count:,.0f}", f"{30 * count / days:.1f}", f"{in_alarm:.1f}"]
        for method, count, in_alarm in rates.itertuples()
    ]
    columns = ["Method", "false alarms", "per 30 days", "days in alarm, per 30"]
    show_table(f"False alarms, on {days} days without a fault", columns, rows)
    console.print(f"  This level's: {own_false_alarms(clean)}\n")


def _show_champions(champions: pd.DataFrame) -> None:
    months = champions[champions["fault"] == SOUND]
    columns = ["Champion", "log loss", *(monitor.removeprefix("calibration_") for monitor in MONITORS), "any"]
    title = f"Months of {len(months)} with an alarm (day of the first), on {months['flights'].sum():,} flights"
    show_table(title, columns, by_champion(champions))


def _as_text(found: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """The summary as the tables show it; "-" where half of the cases are missed, or all of them."""
    table = summary(found, by)
    return table.assign(
        delay=table["delay"].map("{:g}".format).replace("inf", "-"),
        of_cases=table["missed"].astype(str) + " of " + table["cases"].astype(str),
        attributed=table["attributed"].map("{:.0%}".format).where(table["missed"] < table["cases"], "-"),
    )


def detection_plot(points: pd.DataFrame, days: int) -> "Figure":
    """Mean delay of faults of inputs against days in alarm: a line for each method as its limits are scaled.

    A dot shows the limits as they are.
    """
    now = points[points["scale"] == 1].set_index("method")
    in_alarm, delay = now["days in alarm"], now["delay"]
    title = (
        f"This level finds a fault of inputs after {delay[OURS]:.1f} days on average, "
        f"and is in alarm on {in_alarm[OURS]:.1f} of 30 days without one"
    )
    figure, (axes,) = pictures.draw(title, 640)
    ends = []
    for method in METHODS:
        colour, width = (CHAMPION, 4) if method == OURS else (NEUTRAL, 2)
        line = points[points["method"] == method].sort_values("scale")
        axes.plot(line["days in alarm"], line["delay"], color=colour, linewidth=width)
        at = float(in_alarm[method]), float(delay[method])
        axes.plot(*at, "o", color=colour, markersize=11, zorder=6)
        if at[0] > CROWDED:
            ends.append((method, at, colour))
        elif at[0] > CROWDED / 2:
            pictures.write(axes, method.replace(", ", ",\n"), at, colour, (-12, -20))
        else:
            pictures.write(axes, method, at, colour, (12, 20))
    axes.set(
        xlim=(-0.5, 31),
        ylim=(0, FAULT_DAYS + 2.5),
        xlabel=f"days in alarm, of 30 (from {days} days without a fault)\nLines: all limits scaled. Dots: as they are.",
        ylabel=f"days until a fault of inputs is found,\nmean (missed: {FAULT_DAYS + 1})",
    )
    pictures.name_ends(axes, ends)
    return figure


def keep_picture(settings: Settings, measured: Measured) -> None:
    """Draw the picture of the README."""
    os.environ.setdefault("MPLCONFIGDIR", str(config.own(settings) / "matplotlib"))
    inputs = measured.faulty[measured.faulty["fault"].map(kind_of) == INPUTS]
    pictures.save(detection_plot(curve(inputs, measured.clean, measured.days), measured.days), PICTURE)
    console.print(f"  kept: {PICTURE}")


def main() -> None:
    """All dates and all faults."""
    begun, settings = time.perf_counter(), config.configure()
    flights = load_flights(settings)
    measured = run_benchmark(flights, DATES, list(ALL_FAULTS), min(2, os.cpu_count() or 1))
    show_tables(measured)
    keep_picture(settings, measured)
    console.print(f"  {time.perf_counter() - begun:.0f} seconds")
