"""The tables of the judge, as they are printed."""

from typing import Any

import numpy as np
import pandas as pd

from level5_monitoring.benchmarks.detection_metrics import DAYS, METHODS, OURS, WITH_DRIFT, summary
from level5_monitoring.fault_injection import FAULTS
from shared.console import console, show_table

NONE = "-"
BESIDE = [method for method in METHODS if "data set" not in method]  # which finds nearly nothing


def show_tables(found: pd.DataFrame, false: pd.DataFrame, days: int) -> None:
    """Print what this level's monitors see of each fault, then all methods beside each other."""
    console.print()
    _ours(found)
    _by_fault(found)
    _by_method(found, false, days)
    console.print(
        "  Delay: median, in days of spoilt flights (never: half are missed, or more). Named: of those found, by an\n"
        "  alert that names what is wrong. + drift: missed when drift, which informs, counts. An alarm that rings\n"
        "  without the fault too does not find it. A week in alarm is seven days. Where a rival's own code raises,\n"
        "  that counts as its alarm."
    )


def _ours(found: pd.DataFrame) -> None:
    rows = []
    drift = found[found["method"] == WITH_DRIFT]
    for line in _lines(found[found["method"] == OURS], ["fault", "size"]):
        one, size = FAULTS[line["fault"]], line["size"]
        also = drift[(drift["fault"] == line["fault"]) & (drift["size"] == size)]["delay"].isna().sum()
        rows.append([one.name, one.sizes[size - 1], *_cells(line), str(also), line["by"]])
    columns = ["Fault", "Size", "Delay", "Missed", "Named", "+ drift", "Seen by"]
    show_table(f"This level's monitors, on {len(drift)} faults of {DAYS} days", columns, rows)


def _by_fault(found: pd.DataFrame) -> None:
    lines = {(line["fault"], line["method"]): line for line in _lines(found, ["fault", "method"])}
    rows = []
    for fault in found["fault"].unique():
        each = [lines[fault, method] for method in BESIDE]
        rows.append([str(fault), *(f"{_days(line['delay'])} ({line['missed']})" for line in each)])
    cases = len(found) // len(METHODS) // len(rows)
    show_table(f"Median delay in days (missed), of {cases} of each fault", ["Fault", *BESIDE], rows)


def _by_method(found: pd.DataFrame, false: pd.DataFrame, days: int) -> None:
    rows = []
    for line in _lines(found, ["method"]):
        alerts, alarm = false.loc[line["method"]]
        rows.append([line["method"], *_cells(line), f"{alerts:.1f}", f"{alarm:.1f}"])
    columns = ["Method", "Delay", "Missed", "Named", "False alerts", "Days in alarm"]
    show_table(f"All faults; and false alarms, per 30 of {days} days without a fault", columns, rows)


def _lines(found: pd.DataFrame, by: list[str]) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in line.items()} for line in summary(found, by).to_dict("records")]


def _days(delay: float) -> str:
    return f"{delay:g}" if np.isfinite(delay) else "never"


def _cells(line: dict[str, Any]) -> list[str]:
    named = f"{line['named']:.0%}" if line["missed"] < line["cases"] else NONE
    return [_days(line["delay"]), f"{line['missed']} of {line['cases']}", named]
