"""`make reports`: Evidently's own reports, a week each, in its workspace; then its pages, until Ctrl-C."""

import argparse
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pandas as pd

from level3_training_pipeline.orchestration import prefect_server
from level5_monitoring import config
from level5_monitoring.monitors.data_quality import UNKNOWN
from level5_monitoring.monitors.reference import Reference, load_reference
from level5_monitoring.monitors.window import CODES, NUMBERS, closed_days, is_end_of_week, read_week
from shared.console import bar, console, step
from shared.data.schema import FLIGHT
from shared.errors import UserError, command
from shared.settings import Settings

WORKSPACE, PROJECT = "evidently", "flights"


def report(window: pd.DataFrame, reference: Reference) -> list[Any]:
    """Quality, drift by our limits, and performance where outcomes are known, of a week: Evidently's snapshots."""
    from evidently import BinaryClassification, DataDefinition, Dataset, Report
    from evidently.metrics import LogLoss, RocAuc, RowCount, ValueDrift

    there = [name for name in NUMBERS if window[name].notna().any()]  # a column without a value has no distance
    kinds = DataDefinition(numerical_columns=there, categorical_columns=CODES)
    judged = DataDefinition(
        classification=[BinaryClassification(target="late", prediction_probas="probability", pos_label=1)]
    )
    wanted: list[Any] = [RowCount(), *_quality(there, reference)]
    wanted += [ValueDrift(column=name, method="wasserstein", threshold=reference.drift[name]) for name in there]
    wanted += [ValueDrift(column=name, method="jensenshannon", threshold=reference.drift[name]) for name in CODES]
    columns = [*there, *CODES]
    known = window.dropna(subset=["late"]).astype({"late": int})[["late", "probability"]]
    with warnings.catch_warnings():  # of divisions by the number of values there are not
        warnings.simplefilter("ignore")
        tables = [Dataset.from_pandas(table[columns], data_definition=kinds) for table in (window, reference.sample)]
        data = Report(wanted).run(*tables, name=f"data, week to {window['day'].max()}")
        model = None
        if known["late"].nunique() == 2:
            table = Dataset.from_pandas(known, data_definition=judged)
            model = Report([RowCount(), LogLoss(), RocAuc()]).run(table, None, name=f"model, {window['day'].max()}")
    return [one for one in (data, model) if one]


def _quality(numbers: list[str], reference: Reference) -> list[Any]:
    """What is missing, out of the contract's range, or a code that the history has not, each beside its limit."""
    from evidently.metrics import MissingValueCount, OutListValueCount, OutRangeValueCount
    from evidently.tests import eq, lte

    found: list[Any] = []
    for name in numbers:
        low, high = (FLIGHT.columns[name].metadata[end] for end in ("low", "high"))
        found.append(MissingValueCount(column=name, share_tests=[lte(reference.missing[name])]))
        found.append(OutRangeValueCount(column=name, left=low, right=high, tests=[eq(0)]))
    few = [lte(UNKNOWN)]
    return found + [OutListValueCount(column=name, values=reference.codes[name], share_tests=few) for name in CODES]


def add_weeks(settings: Settings, most: int | None = None) -> int:
    """Add the closed weeks that are not in the workspace yet; returns how many there were."""
    with step("Load Evidently"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from evidently.ui.workspace import Workspace
    own = config.own(settings)
    log = config.open_log(settings)
    done = own / WORKSPACE / "weeks.txt"
    told = set(done.read_text().split()) if done.exists() else set()
    weeks = [day for day in closed_days(log, None) if is_end_of_week(day) and day not in told][:most]
    workspace = Workspace.create(str(own / WORKSPACE))
    found = workspace.search_project(PROJECT)
    project = found[0] if found else workspace.create_project(PROJECT)
    reference = load_reference(own)
    with bar(f"Report {len(weeks)} weeks", len(weeks)) as advance, done.open("a") as file:
        for sunday in weeks:
            window = read_week(log, sunday)
            for snapshot in report(window, reference) if len(window) else []:
                workspace.add_run(project.id, snapshot, include_data=False)
            print(sunday, file=file, flush=True)
            advance()
    return len(weeks)


def pages(workspace: Path, port: int) -> list[str]:
    """The command that serves Evidently's pages on loopback."""
    evidently = Path(sys.executable).with_name("evidently")
    return [str(evidently), "ui", "--host", "127.0.0.1", "--port", str(port), "--workspace", str(workspace)]


def main() -> None:
    """Report, then serve the pages."""
    parser = argparse.ArgumentParser(
        prog="python -m level5_monitoring.dashboard.evidently_reports", description=main.__doc__
    )
    parser.add_argument("--no-pages", action="store_true", help="report only")
    parser.add_argument("--weeks", type=int, help="at most so many")
    options = parser.parse_args()
    settings = config.configure()
    if not (config.own(settings) / "reference.json").exists():
        raise UserError("no year has been played here. Remedy: make level5.")
    add_weeks(settings, options.weeks)
    if options.no_pages:
        return
    port = prefect_server.free_port()
    console.print(f"Evidently: http://127.0.0.1:{port} · end: Ctrl-C")
    process = subprocess.Popen(pages(config.own(settings) / WORKSPACE, port), stdin=subprocess.DEVNULL)
    try:
        process.wait()
    except KeyboardInterrupt:
        process.terminate()
        process.wait(timeout=30)


if __name__ == "__main__":
    command(main)
