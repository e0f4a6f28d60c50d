"""What `make level2` shows: the service's own figures, what its clients saw, and what nothing here can tell."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
from numpy.typing import NDArray

from level2_devops.load_generator import Figures, Traffic, measure, traffic
from level2_devops.plots import draw_swap
from level2_devops.release.golden import as_requests
from level2_devops.release.service_status import ServiceStatus, read_service_status
from level2_devops.release.store import Store
from shared.artefacts import MODEL_CARD, MODEL_FILE
from shared.console import console, show_table, step
from shared.errors import UserError
from shared.score import Score, by_month
from shared.settings import NEW_YORK, Settings

# Who acts, does what, and what waits for it, from an idea to a model that serves.
ACTS = [
    ("data scientist", "writes features and parameters into the code", "the release"),
    ("data scientist", "runs make train, tells where the model is", "the release"),
    ("engineer", "runs make release", "every prediction"),
    ("data scientist", "fetches the outcomes, scores the months", "the news how good it is"),
    ("data scientist", "trains again when told of it", "every flight until then"),
]


@contextmanager
def served(settings: Settings) -> Iterator[ServiceStatus]:
    """The service of the current release, started for the block unless one runs already."""
    store = Store(settings.level("level2"))
    if running := read_service_status(store):
        yield running
        return
    log = store.home / "logs" / "serve.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "level2_devops.supervisor"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=os.environ | {"MLOPS_STATE": str(settings.state)},
        )
    try:
        with step("Start the service"):
            while not (running := read_service_status(store)):
                if process.poll() is not None:
                    raise UserError(f"the service did not start: {log.read_text().strip()[-300:]}. Remedy: see {log}")
                time.sleep(0.05)
        yield running
    finally:
        with step("End the service when nobody is left"):
            process.send_signal(signal.SIGTERM)
            process.wait()


def requests_of(flights: pd.DataFrame, month: str) -> list[dict[str, Any]]:
    """A thousand flights of a month in New York, such as 2013-12, or all if it has fewer, as requests."""
    start = pd.Timestamp(month, tz=NEW_YORK)
    of_month = flights[flights["scheduled_departure"].between(start, start + pd.offsets.MonthBegin(), inclusive="left")]
    return as_requests(of_month.sample(min(1000, len(of_month)), random_state=2013))


def under_load(address: str, month: str, requests: list[dict[str, Any]]) -> Figures:
    """What the service says of two seconds in which clients ask as fast as they are answered."""
    with step(f"Load {address} with flights of {month}"), traffic(address, requests):
        return measure(address, 2.0)


def show_months(later: pd.DataFrame, probability: NDArray[Any], overall: Score) -> pd.DataFrame:
    """Print the score of each month that came after; returns the table."""
    months = by_month(later, probability)
    rows = [
        [str(name), f"{row.rows:,.0f}", f"{row.late:.1%}", f"{row.log_loss:.4f}", f"{row.auc:.4f}"]
        for name, row in months.iterrows()
    ]
    rows.append(["all", f"{overall.rows:,}", f"{overall.late:.1%}", f"{overall.log_loss:.4f}", f"{overall.auc:.4f}"])
    show_table("The flights that came after", ["", "Flights", "Late", "Log loss", "AUC"], rows)
    return months


def show_figures(figures: dict[str, Figures], months: pd.DataFrame) -> str:
    """Print what the service says of itself in its /metrics, beside the log loss that it cannot know.

    figures: by the month whose flights were sent. Returns one line of evidence.
    """
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
    titles = ["Flights of", "Requests", "per s", "p50", "p99", "Errors", "Log loss"]
    show_table("What /metrics says, and, computed from the labels, what it does not: the log loss", titles, rows)
    seen = (
        f"{name}: {one.errors:.0f} errors, log loss {months['log_loss'][name]:.3f}" for name, one in figures.items()
    )
    return "; ".join(seen)


def show_swap(seen: Traffic, settings: Settings) -> str:
    """Print and draw which version answered how much while they were switched; returns one line of evidence."""
    with step("Draw what the clients saw"):
        picture = draw_swap(seen, settings)
    served_by: dict[str, int] = {}
    for row in seen.rows:
        served_by[row[3]] = served_by.get(row[3], 0) + 1
    slowest = max(row[1] for row in seen.rows)
    by = ", ".join(f"{count} by {version}" for version, count in served_by.items())
    said = f"{len(seen.failed)} of {len(seen.rows):,} requests failed ({by}; the slowest {slowest:.0f} ms)"
    console.print(f"  {said}\n  as a picture: {picture}")
    return said


def untracked(first: Path, second: Path) -> str:
    """What two models' files tell of their difference: returns one line of evidence."""
    models = [hashlib.sha256((folder / MODEL_FILE).read_bytes()).hexdigest()[:8] for folder in (first, second)]
    cards = [json.loads((folder / MODEL_CARD).read_text()) for folder in (first, second)]
    differing = [name for name in cards[0] if cards[0][name] != cards[1][name]]
    return f"sha256 {models[0]} and {models[1]}, and {len(differing)} of {len(cards[0])} lines of their cards differ"
