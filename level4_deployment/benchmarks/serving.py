"""`make benchmark-serving`: how fast level 4's service is on this machine, compared with others in interleaved rounds.

All services run all the time. In each round each one is loaded for a moment, one after the other, so that other work
of the machine disturbs all of them alike. The load comes from a process of its own, on the same cores.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from level2_devops.model import ModelCard, fit
from level3_training_pipeline.pipeline import tune
from level4_deployment.benchmarks.services import (
    BARE,
    CHAMPION_ONLY,
    MLFLOW,
    TWO_WORKERS,
    WITH_SHADOW,
    Service,
    service_starter,
)
from level4_deployment.config import configure
from shared.console import bar, console, show_table, step
from shared.data.flights import load_flights
from shared.data.split import future, history
from shared.errors import command

CONNECTIONS, ROUNDS, SECONDS = (1, 8, 32), 5, 1.0
FLIGHTS = 2_000  # different requests
ENOUGH_CORES = 4  # for two workers, their log writers and challengers, and the load


@dataclass
class LoadResult:
    """One service at one number of connections. rates: requests/s of each round."""

    rates: list[float] = field(default_factory=list)
    milliseconds: list[float] = field(default_factory=list)
    errors: int = 0


Results = dict[tuple[str, int], LoadResult]  # by service and number of connections


def load(service: Service, connections: int, folder: Path, seconds: float) -> dict[str, Any]:
    """Load a service from another process."""
    file = folder / f"{service.path.strip('/')}-{service.port}.json"
    if not file.exists():
        file.write_text(json.dumps({"path": service.path, "bodies": service.bodies}))
    words = [str(service.port), str(file), str(connections), str(seconds)]
    client = subprocess.run(
        [sys.executable, "-m", "level4_deployment.benchmarks.load_client", *words], stdout=subprocess.PIPE, check=True
    )
    found: dict[str, Any] = json.loads(client.stdout)
    return found


def measure(services: list[Service], folder: Path) -> Results:
    """All rounds; a first round, which warms the services up, does not count."""
    results: Results = defaultdict(LoadResult)
    with bar("Rounds", ROUNDS + 1) as advance:
        for number in range(ROUNDS + 1):
            for connections in CONNECTIONS:
                for service in services:
                    found = load(service, connections, folder, SECONDS if number else SECONDS / 2)
                    if number:
                        result = results[service.name, connections]
                        result.rates.append(found["rate"])
                        result.milliseconds += found["ms"]
                        result.errors += found["errors"]
            advance()
    return results


def ratio(results: Results, one: str, other: str, connections: int) -> float:
    """Requests/s of `one` divided by those of `other` in the same round: the median over the rounds."""
    pairs = zip(results[one, connections].rates, results[other, connections].rates, strict=True)
    return median(rate / others for rate, others in pairs)


def show(services: list[Service], results: Results) -> None:
    """Print a table for each number of connections."""
    relative_to_bare = "relative\nto bare\nFastAPI"
    columns = ["Service", "requests/s", relative_to_bare, "p50\nms", "p99\nms", "errors", "sent", "MB"]  # 80 wide
    for connections in CONNECTIONS:
        rows = []
        for service in services:
            result = results[service.name, connections]
            relative = ratio(results, service.name, BARE, connections)
            p50, p99 = np.percentile(result.milliseconds, [50, 99])
            figures = [f"{median(result.rates):,.0f}", f"{relative:.2f}", f"{p50:.1f}", f"{p99:.1f}"]
            counts = [f"{result.errors}", f"{len(result.milliseconds):,}", f"{service.megabytes():.0f}"]
            rows.append([service.name, *figures, *counts])
        many = f"{connections} connection{'s' * (connections > 1)}"
        show_table(f"{many}, one flight per request, median of {ROUNDS} rounds of {SECONDS:g} s", columns, rows)
    console.print(
        f"{CHAMPION_ONLY}: a champion and the durable log.\n"
        f"{WITH_SHADOW}: also assignment, a challenger in shadow, and metrics.\n"
        f"{TWO_WORKERS}: the same with two workers."
    )


def show_aims(services: list[Service], results: Results) -> None:
    """Print the figures of level 4 beside its aims."""
    most = CONNECTIONS[-1]
    p99 = float(np.percentile(results[WITH_SHADOW, most].milliseconds, 99))
    level4 = (CHAMPION_ONLY, WITH_SHADOW, TWO_WORKERS)
    errors = float(sum(result.errors for (name, _), result in results.items() if name in level4))
    memory = next(service for service in services if service.name == WITH_SHADOW).megabytes()
    aims = [
        ("requests/s relative to bare FastAPI", ratio(results, WITH_SHADOW, BARE, most), ">=", 0.45),
        ("the same, ideally", ratio(results, WITH_SHADOW, BARE, most), ">=", 0.7),
        ("requests/s relative to mlflow models serve", ratio(results, WITH_SHADOW, MLFLOW, most), ">=", 25.0),
        ("ms, 99th percentile", p99, "<", 50.0),
        ("errors", errors, "<", 1.0),
        ("MB of one worker", memory, "<", 250.0),
        ("requests/s of two workers relative to one", ratio(results, TWO_WORKERS, WITH_SHADOW, most), ">=", 1.6),
    ]
    rows = [
        [what, f"{value:.2f}", f"{sign} {aim:g}", "yes" if (value >= aim if sign == ">=" else value < aim) else "no"]
        for what, value, sign, aim in aims
    ]
    show_table(f"Level 4 at {most} connections", ["Figure", "Result", "Aim", "Met"], rows)
    if (cores := os.cpu_count() or 1) < ENOUGH_CORES:
        console.print(f"Two workers and the load share {cores} cores here, so the last figure is too low.")


def main() -> None:
    """Start the services, measure them, print the tables."""
    settings = configure()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with step("Train a model"):
            flights = load_flights(settings)
            known = history(flights, settings.now)
            model = fit(known, **tune.START)
        card = ModelCard(float(known["late"].mean()), len(known), str(settings.today))
        with service_starter(model, card, future(flights, settings.now).head(FLIGHTS), folder) as start:
            with step("Start the services"):
                services = [
                    start.bare(),
                    start.level2(),
                    start.level4(CHAMPION_ONLY, shadow=False),
                    start.level4(WITH_SHADOW, shadow=True),
                    start.level4(TWO_WORKERS, shadow=True, workers=2),
                    start.mlflow(settings),
                ]
            results = measure(services, folder)
            show(services, results)
            show_aims(services, results)
        console.print(f"{sum(len(result.milliseconds) for result in results.values()):,} requests were measured.")


if __name__ == "__main__":
    command(main)
