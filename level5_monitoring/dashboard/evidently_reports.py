"""Evidently's own reports of the year, one a week, in an Evidently workspace; `make reports` serves its pages.

Project and reports have ids that follow from their names, so that an event of the year's page can link to its week.
"""

import warnings
from contextlib import suppress
from math import inf
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import pandas as pd

from level3_training_pipeline.orchestration.prefect_server import GUARDED
from level5_monitoring import config
from level5_monitoring.monitors.data_quality import UNKNOWN
from level5_monitoring.monitors.reference import Reference, load_reference
from level5_monitoring.monitors.window import CODES, NUMBERS, closed_days, is_end_of_week, read_window, week_of
from shared.console import bar, console, step
from shared.data.schema import FLIGHT
from shared.errors import UserError
from shared.processes.children import running
from shared.settings import Settings
from shared.waiting import comes_up, free_port, wait_until

START_LIMIT = 120  # seconds; Evidently alone takes about 10 s on two cores
WORKSPACE, PROJECT, LOG = "evidently", "flights", "evidently-pages.log"
PROJECT_ID = uuid5(NAMESPACE_URL, PROJECT)
PAGE = f"/projects/{PROJECT_ID}"  # path of the dashboard


def page_of_week(sunday: str) -> str:
    """The path of the report of the data of the week that ends with `sunday`."""
    return f"{PAGE}/reports/{_id(_name('data', sunday))}"


def known_at(page: str) -> str:
    """Where Evidently answers once it has what a page shows; the page itself answers before."""
    about = "metadata" if "/reports/" in page else "info"
    return f"/api{page.replace('/reports/', '/')}/{about}"


def _name(of: str, sunday: str) -> str:
    return f"{of}, week to {sunday}"


def _id(name: str) -> UUID:
    return uuid5(PROJECT_ID, name)


def report(window: pd.DataFrame, reference: Reference) -> list[Any]:
    """Evidently's snapshots of a week, dated its Sunday: quality and drift, by the monitors' thresholds; performance.

    What the dashboard shows comes first.
    """
    from evidently import BinaryClassification, DataDefinition, Dataset, Report
    from evidently.metrics import (
        DatasetMissingValueCount,
        DriftedColumnsCount,
        LogLoss,
        RocAuc,
        RowCount,
        ValueDrift,
    )

    numbers = [name for name in NUMBERS if window[name].notna().any()]  # a column without a value has no distance
    columns = DataDefinition(numerical_columns=NUMBERS, categorical_columns=CODES)
    model = BinaryClassification(target="late", prediction_probas="probability", pos_label=1)
    methods = dict.fromkeys(numbers, "wasserstein") | dict.fromkeys(CODES, "jensenshannon")
    limits = {name: reference.drift[name] for name in methods}
    drift = [ValueDrift(column=name, method=method, threshold=limits[name]) for name, method in methods.items()]
    drifted = DriftedColumnsCount(columns=[*methods], per_column_method=methods, per_column_threshold=limits)
    labelled = window.dropna(subset=["late"]).astype({"late": int})[["late", "probability"]]
    sunday, snapshots = window["day"].max(), []
    about: dict[str, Any] = {"timestamp": pd.Timestamp(sunday).to_pydatetime()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Evidently divides by the number of values, which may be 0
        tables = [
            Dataset.from_pandas(table[NUMBERS + CODES], data_definition=columns) for table in (window, reference.sample)
        ]
        quality = Report([drifted, DatasetMissingValueCount(), RowCount(), *drift, *_quality(numbers, reference)])
        snapshots.append(quality.run(*tables, name=_name("data", sunday), tags=["data"], **about))
        if labelled["late"].nunique() == 2:
            table = Dataset.from_pandas(labelled, data_definition=DataDefinition(classification=[model]))
            scores = Report([LogLoss(), RocAuc(), RowCount()])
            snapshots.append(scores.run(table, None, name=_name("model", sunday), tags=["model"], **about))
    return snapshots


def _panels() -> list[Any]:
    """The dashboard: what each week's snapshots have in common, over the dates of 2013."""
    from evidently.sdk.models import PanelMetric
    from evidently.sdk.panels import line_plot_panel

    share = {"value_type": "share"}
    shown = [
        ("Log loss by week (nats per flight)", "log loss", "model", "LogLoss", {}),
        ("Share of columns that drift from the history", "share", "data", "DriftedColumnsCount", share),
        ("Missing values per flight", "values", "data", "DatasetMissingValueCount", share),
        ("Flights predicted by week", "flights", "data", "RowCount", {}),
    ]
    return [
        line_plot_panel(
            title, [PanelMetric(legend=legend, tags=[tag], metric=metric, metric_labels=labels)], size="half"
        )
        for title, legend, tag, metric, labels in shown
    ]


def _project(workspace: Any) -> Any:
    """The project in Evidently's workspace, made with its dashboard if there is none."""
    from evidently.sdk.models import ProjectModel

    if found := workspace.get_project(PROJECT_ID):
        return found
    about = "The flights and predictions of 2013: each week has a report of the data, and one of the model."
    project = workspace.add_project(ProjectModel(id=PROJECT_ID, name=PROJECT, description=about))
    for panel in _panels():
        project.dashboard.add_panel(panel)
    return project


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


def add_weeks(settings: Settings) -> int:
    """Add each closed week that the workspace lacks, the newest first; returns how many were added."""
    with step("Load Evidently"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from evidently.ui.workspace import Workspace
    own = config.own(settings)
    reference = load_reference(own)
    workspace = Workspace.create(str(own / WORKSPACE))
    _project(workspace)
    reported = {*workspace.list_runs(PROJECT_ID)}
    with config.open_log(settings) as log:
        sundays = [day for day in closed_days(log, None)[::-1] if is_end_of_week(day)]
        weeks = [sunday for sunday in sundays if _id(_name("data", sunday)) not in reported]
        with bar(f"Report {len(weeks)} weeks", len(weeks)) as advance:
            for sunday in weeks:
                window = read_window(log, week_of(sunday)[0], sunday)
                for snapshot in reversed(report(window, reference) if len(window) else []):
                    workspace.state.write_snapshot(PROJECT_ID, _id(snapshot.get_name()), snapshot.to_snapshot_model())
                advance()
    return len(weeks)


def pages(workspace: Path, port: int) -> list[str]:
    """The module that serves Evidently's pages on loopback, with its words."""
    return [GUARDED, "evidently.cli", "ui", "--host", "127.0.0.1", "--port", str(port), "--workspace", str(workspace)]


def serve_pages(settings: Settings) -> None:
    """Serve Evidently's pages until Ctrl-C, and print their address once they answer; raises UserError."""
    own, port = config.own(settings), free_port()
    address, log = f"http://127.0.0.1:{port}", own / LOG
    with running(pages(own / WORKSPACE, port), log) as process, suppress(KeyboardInterrupt):
        with step("Start Evidently's pages"):
            up = comes_up(address, START_LIMIT, lambda: process.poll() is not None)
        if not up:
            raise UserError(f"Evidently's pages do not answer at {address}. Remedy: see {log}.")
        console.print(f"Evidently: {address}{PAGE} · end: Ctrl-C")
        wait_until(lambda: process.poll() is not None, inf, pause=0.5)  # on Windows, wait() ignores Ctrl-C
