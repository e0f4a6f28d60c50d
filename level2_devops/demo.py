"""The demonstration of `make level2`: the service under load, its figures, its clients' view, and what is missing."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
from numpy.typing import NDArray

from level2_devops.load_generator import Figures, Traffic, measure, traffic
from level2_devops.plots import draw_switches
from level2_devops.release.service_status import ServiceStatus, read_service_status
from level2_devops.release.store import Store
from level2_devops.service.requests import flights_as_requests
from shared.artefacts import MODEL_CARD, MODEL_FILE
from shared.console import console, show_table, step
from shared.errors import UserError
from shared.score import Score, by_month
from shared.settings import NEW_YORK, Settings
from shared.waiting import wait_until

# Role, manual step, and what it blocks: from an idea to a model that serves.
ACTS = [
    ("data scientist", "writes features and parameters into the code", "the release"),
    ("data scientist", "runs make train, says where the model is", "the release"),
    ("engineer", "runs make release", "every prediction"),
    ("data scientist", "fetches the labels, scores the months", "knowing how good it is"),
    ("data scientist", "trains again when asked to", "every flight until then"),
]

READY_WITHIN = 90.0  # seconds


@contextmanager
def running_service(settings: Settings) -> Iterator[ServiceStatus]:
    """The service of the current release, started for the block unless one already runs."""
    store = Store(settings.level("level2"))
    if running := read_service_status(store):
        yield running
        return
    log = store.home / "logs" / "serve.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "level2_devops", "serve"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=os.environ | {"MLOPS_STATE": str(settings.state)},
        )

    def status() -> ServiceStatus | None:
        if process.poll() is not None:
            raise UserError(f"the service did not start: {log.read_text().strip()[-300:]}. Remedy: see {log}")
        return read_service_status(store)

    try:
        with step("Start the service"):
            started = wait_until(status, READY_WITHIN)
        assert started  # noqa: S101 - wait_until returns true results only
        yield started
    finally:
        with step("Stop the service once all requests are answered"):
            process.send_signal(signal.SIGTERM)
            process.wait()


def requests_of(flights: pd.DataFrame, month: str) -> list[dict[str, Any]]:
    """Up to a thousand random flights of a month in New York, such as 2013-12, as requests."""
    start = pd.Timestamp(month, tz=NEW_YORK)
    chosen = flights[flights["scheduled_departure"].between(start, start + pd.offsets.MonthBegin(), inclusive="left")]
    return flights_as_requests(chosen.sample(min(1000, len(chosen)), random_state=2013))


def under_load(address: str, month: str, requests: list[dict[str, Any]]) -> Figures:
    """The service's own figures of two seconds in which each client sends as soon as it has an answer."""
    with step(f"Load {address} with flights of {month}"), traffic(address, requests):
        return measure(address, 2.0)


def show_months(later: pd.DataFrame, probability: NDArray[Any], overall: Score) -> pd.DataFrame:
    """Print the score of each later month; returns the table."""
    months = by_month(later, probability)
    rows = [
        [str(name), f"{row.rows:,.0f}", f"{row.late:.1%}", f"{row.log_loss:.4f}", f"{row.auc:.4f}"]
        for name, row in months.iterrows()
    ]
    rows.append(["all", f"{overall.rows:,}", f"{overall.late:.1%}", f"{overall.log_loss:.4f}", f"{overall.auc:.4f}"])
    show_table("The flights that came after", ["", "Flights", "Late", "Log loss", "AUC"], rows)
    return months


def show_figures(figures: dict[str, Figures], months: pd.DataFrame) -> str:
    """Print the figures of /metrics by month, beside the log loss, which they do not contain; returns one line."""
    rows = [
        [
            name,
            f"{one.requests:,.0f}",
            f"{one.rate:.0f}",
            f"{one.p50 * 1000:.0f} ms",
            f"{one.p99 * 1000:.0f} ms",
            f"{one.errors:.0f}",
            f"{months['log_loss'][name]:.3f}",
        ]
        for name, one in figures.items()
    ]
    titles = ["Flights of", "Requests", "Requests/s", "p50", "p99", "Errors", "Log loss"]
    show_table("From /metrics; the log loss is not there, it is computed from labels", titles, rows)
    seen = (
        f"{name}: {one.errors:.0f} errors, log loss {months['log_loss'][name]:.3f}" for name, one in figures.items()
    )
    return "; ".join(seen)


def show_switches(seen: Traffic, settings: Settings) -> str:
    """Print and draw how many requests each version answered during the switches; returns one line."""
    with step("Draw what the clients saw"):
        picture = draw_switches(seen, settings)
    answered = Counter(row[3] for row in seen.rows)
    slowest = max(row[1] for row in seen.rows)
    by = ", ".join(f"{count} by {version}" for version, count in answered.items())
    line = f"{len(seen.failed)} of {len(seen.rows):,} requests failed ({by}; the slowest {slowest:.0f} ms)"
    console.print(f"  {line}\n  as a picture: {picture}")
    return line


def compare_files(first: Path, second: Path) -> str:
    """What the files of two models reveal about their difference; returns one line."""
    models = [hashlib.sha256((folder / MODEL_FILE).read_bytes()).hexdigest()[:8] for folder in (first, second)]
    cards = [json.loads((folder / MODEL_CARD).read_text()) for folder in (first, second)]
    differing = [name for name in cards[0] if cards[0][name] != cards[1][name]]
    return f"sha256 {models[0]} and {models[1]}, and {len(differing)} of {len(cards[0])} lines of their cards differ"
