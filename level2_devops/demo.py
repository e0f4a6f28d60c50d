"""The demonstration of `make level2`: the service under load, its figures, its clients' view, and what is missing."""

import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from level2_devops.load_generator import Figures, Traffic, measure, traffic
from level2_devops.release.service_status import ServiceStatus, read_service_status
from level2_devops.release.store import Store
from level2_devops.service.requests import flights_as_requests
from level2_devops.service.worker_process import wait_ready
from shared import pictures
from shared.artefacts import MODEL_CARD, MODEL_FILE
from shared.console import console, show_table, step
from shared.files import file_digest, short_digest
from shared.pictures import BASE_RATE, CHALLENGER, CHAMPION, FONT, NEUTRAL, WORSE
from shared.processes.children import start, stop
from shared.settings import NEW_YORK, Settings

# Role, manual step, and what it blocks: from an idea to a model that serves.
MANUAL_STEPS = [
    ("data scientist", "writes features and parameters into the code", "the release"),
    ("data scientist", "runs make train, says where the model is", "the release"),
    ("engineer", "runs make release", "every prediction"),
    ("data scientist", "fetches the labels, scores the months", "knowing how good it is"),
    ("data scientist", "trains again when asked to", "every flight until then"),
]


@contextmanager
def running_service(settings: Settings) -> Iterator[ServiceStatus]:
    """The service of the current release, started for the block unless one already runs."""
    store = Store(settings.level("level2"))
    if running := read_service_status(store):
        yield running
        return
    log = store.home / "logs" / "serve.log"
    process = start(["level2_devops", "serve"], log)
    try:
        with step("Start the service"):
            running = wait_ready(process, lambda: read_service_status(store), "the service", log)
        yield running
    finally:
        with step("Stop the service once all requests are answered"):
            stop([process], 30.0)


def requests_of(flights: pd.DataFrame, month: str) -> list[dict[str, Any]]:
    """Up to a thousand random flights of a month in New York, for example 2013-12, as requests."""
    start = pd.Timestamp(month, tz=NEW_YORK)
    chosen = flights[flights["scheduled_departure"].between(start, start + pd.offsets.MonthBegin(), inclusive="left")]
    return flights_as_requests(chosen.sample(min(1000, len(chosen)), random_state=2013))


def under_load(address: str, month: str, requests: list[dict[str, Any]]) -> Figures:
    """The service's own figures of two seconds in which each client sends as soon as it has an answer."""
    with step(f"Load {address} with flights of {month}"), traffic(address, requests):
        return measure(address, 2.0)


def show_figures(figures: dict[str, Figures], months: pd.DataFrame) -> str:
    """Print the figures of /metrics by month, and the log loss that /metrics does not have; returns one line."""
    rows = [
        [
            name,
            f"{one.requests:,.0f}",
            f"{one.rate:.0f}",
            f"{one.p50 * 1000:.0f} ms",
            f"{one.p99 * 1000:.0f} ms",
            f"{one.errors:.0f}",
            f"{months['log_loss'][name]:.2f}",
        ]
        for name, one in figures.items()
    ]
    titles = ["flights of", "requests", "requests/s", "p50", "p99", "errors", "log loss"]
    show_table("From /metrics; only the log loss is computed from labels", titles, rows)
    losses = ", ".join(f"{months['log_loss'][name]:.2f} in {name}" for name in figures)
    return f"log loss {losses}; {sum(one.errors for one in figures.values()):.0f} errors"


def show_switches(seen: Traffic, settings: Settings) -> Path:
    """Draw the requests that each version answered during the switches, and print their numbers; returns the PNG."""
    with step("Draw what the clients saw"):
        picture = draw_switches(seen, settings)
    answered = Counter(row[3] for row in seen.rows)
    slowest = max(row[1] for row in seen.rows)
    by = ", ".join(f"{count} by {version}" for version, count in answered.items())
    console.print(f"  {len(seen.failed)} of {len(seen.rows):,} requests failed ({by}; the slowest {slowest:.0f} ms)")
    return picture


def draw_switches(seen: Traffic, settings: Settings) -> Path:
    """Draw the milliseconds of every request by the version that answered, and both switches; returns the PNG."""
    home = settings.level("level2")
    # Matplotlib reads this on import; without it, it writes into the user's home.
    os.environ.setdefault("MPLCONFIGDIR", str(home / "matplotlib"))
    answers = pd.DataFrame(seen.rows, columns=["at", "ms", "status", "version"])
    answers["at"] -= answers["at"].iloc[0]
    failed, good = answers[answers["status"] != 200], answers[answers["status"] == 200]
    answered = {str(version): good[good["version"] == version] for version in good["version"].unique()}
    versions = [*answered]
    switches = [(answered[new]["at"].min(), f"release of {new}") for new in versions[1:]]
    switches += [(answered[new]["at"].max(), f"rollback to {versions[0]}") for new in versions[1:]]
    title = f"{len(failed)} of {len(answers):,} requests failed during a release and its rollback"
    figure, (axes,) = pictures.draw(title, 440)
    for (version, rows), colour in zip(answered.items(), [CHAMPION, CHALLENGER, NEUTRAL], strict=False):
        axes.scatter(rows["at"], rows["ms"], s=14, color=colour, label=f"{version}: {len(rows):,} answers")
    axes.scatter(failed["at"], failed["ms"], marker="x", color=WORSE, s=70, label=f"failed: {len(failed)}")
    top = 2 * answers["ms"].max()
    for place, (at, what) in enumerate(switches):
        axes.vlines(at, answers["ms"].min(), top * 1.8**place, color=BASE_RATE, linewidth=1.5)
        pictures.write(axes, what, (at, top * 1.8**place), BASE_RATE, (-6, -4))
    axes.set(yscale="log", xlabel="seconds since the first answer", ylabel="answer time, milliseconds")
    axes.set_ylim(top=top * 1.8 ** len(switches))
    axes.set_yticks([10, 30, 100, 300, 1000], ["10", "30", "100", "300", "1,000"])
    axes.minorticks_off()
    figure.legend(ncols=3, loc="outside lower left", frameon=False, fontsize=FONT, markerscale=2, handletextpad=0)
    return pictures.save(figure, home / "swap.png")


def compare_files(first: Path, second: Path) -> str:
    """What the files of two models reveal about their difference; returns one line."""
    models = [short_digest(file_digest(folder / MODEL_FILE)) for folder in (first, second)]
    cards = [json.loads((folder / MODEL_CARD).read_text()) for folder in (first, second)]
    differing = [name for name in cards[0] if cards[0][name] != cards[1][name]]
    return f"sha256 {models[0]}, {models[1]}; {len(differing)} of {len(cards[0])} card lines differ"
