"""Evidently's own reports of the year, one a week, in an Evidently workspace; `make reports` serves its pages."""

import warnings
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd

from level3_training_pipeline.orchestration.prefect_server import GUARDED
from level5_monitoring import config
from level5_monitoring.monitors.data_quality import UNKNOWN
from level5_monitoring.monitors.reference import Reference, load_reference
from level5_monitoring.monitors.window import CODES, NUMBERS, closed_days, is_end_of_week, read_window, week_of
from shared.children import running
from shared.console import bar, console, step
from shared.data.schema import FLIGHT
from shared.errors import UserError
from shared.files import garbled
from shared.loopback import free_port
from shared.settings import Settings

WORKSPACE, PROJECT, LOG = "evidently", "flights", "evidently-pages.log"


def report(window: pd.DataFrame, reference: Reference) -> list[Any]:
    """Evidently's snapshots of a week: quality and drift, by the monitors' thresholds; performance on its labels."""
    from evidently import BinaryClassification, DataDefinition, Dataset, Report
    from evidently.metrics import LogLoss, RocAuc, RowCount, ValueDrift

    numbers = [name for name in NUMBERS if window[name].notna().any()]  # a column without a value has no distance
    columns = DataDefinition(numerical_columns=numbers, categorical_columns=CODES)
    model = BinaryClassification(target="late", prediction_probas="probability", pos_label=1)
    methods = dict.fromkeys(numbers, "wasserstein") | dict.fromkeys(CODES, "jensenshannon")
    drift = [
        ValueDrift(column=name, method=method, threshold=reference.drift[name]) for name, method in methods.items()
    ]
    labelled = window.dropna(subset=["late"]).astype({"late": int})[["late", "probability"]]
    sunday, snapshots = window["day"].max(), []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Evidently divides by the number of values, which may be 0
        tables = [
            Dataset.from_pandas(table[[*methods]], data_definition=columns) for table in (window, reference.sample)
        ]
        quality = Report([RowCount(), *_quality(numbers, reference), *drift])
        snapshots.append(quality.run(*tables, name=f"data, week to {sunday}"))
        if labelled["late"].nunique() == 2:
            table = Dataset.from_pandas(labelled, data_definition=DataDefinition(classification=[model]))
            snapshots.append(Report([RowCount(), LogLoss(), RocAuc()]).run(table, None, name=f"model, {sunday}"))
    return snapshots


def _quality(numbers: list[str], reference: Reference) -> list[Any]:
    """Missing values, values outside the contract's range, and unknown codes, each with its threshold."""
    from evidently.metrics import MissingValueCount, OutListValueCount, OutRangeValueCount
    from evidently.tests import eq, lte

    found: list[Any] = []
    for name in numbers:
        low, high = (FLIGHT.columns[name].metadata[end] for end in ("low", "high"))
        found.append(MissingValueCount(column=name, share_tests=[lte(reference.missing[name])]))
        found.append(OutRangeValueCount(column=name, left=low, right=high, tests=[eq(0)]))
    few = [lte(UNKNOWN)]
    return found + [OutListValueCount(column=name, values=reference.codes[name], share_tests=few) for name in CODES]


def add_weeks(settings: Settings, at_most: int | None = None) -> int:
    """Add each closed week that the workspace lacks, at most so many; returns how many were added."""
    with step("Load Evidently"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from evidently.ui.workspace import Workspace
    own = config.own(settings)
    reference = load_reference(own)
    workspace = Workspace.create(str(own / WORKSPACE))
    found = workspace.search_project(PROJECT)
    project = found[0] if found else workspace.create_project(PROJECT)
    done = own / WORKSPACE / "weeks.txt"
    reported = _reported(done) if done.exists() else set()
    with config.open_log(settings) as log:
        weeks = [day for day in closed_days(log, None) if is_end_of_week(day) and day not in reported][:at_most]
        with bar(f"Report {len(weeks)} weeks", len(weeks)) as advance, done.open("a") as file:
            for sunday in weeks:
                window = read_window(log, week_of(sunday)[0], sunday)
                for snapshot in report(window, reference) if len(window) else []:
                    workspace.add_run(project.id, snapshot, include_data=False)
                print(sunday, file=file, flush=True)
                advance()
    return len(weeks)


def _reported(done: Path) -> set[str]:
    """The Sundays whose weeks have a report; raises StateError."""
    with garbled(done, f"remove the folder {done.parent}: all reports are made again"):
        return {str(date.fromisoformat(line)) for line in done.read_text().split()}


def pages(workspace: Path, port: int) -> list[str]:
    """The module that serves Evidently's pages on loopback, with its words."""
    return [GUARDED, "evidently.cli", "ui", "--host", "127.0.0.1", "--port", str(port), "--workspace", str(workspace)]


def serve_pages(settings: Settings) -> None:
    """Serve Evidently's pages until Ctrl-C."""
    port = free_port()
    console.print(f"Evidently: http://127.0.0.1:{port} · end: Ctrl-C")
    own = config.own(settings)
    with running(pages(own / WORKSPACE, port), own / LOG) as process, suppress(KeyboardInterrupt):
        process.wait()
        raise UserError(f"Evidently's pages ended with status {process.returncode}. Remedy: see {own / LOG}.")
