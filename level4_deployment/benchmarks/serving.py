"""`make bench-serving`: level 4's service beside others, in interleaved rounds on the machine at hand.

Every service runs all the time and waits its turn; in each round each one is loaded for a moment, one after the other,
so that whatever else the machine does falls on all alike. The load comes from a process of its own, on the same cores.
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
from level4_deployment.benchmarks.services import ALL, ALONE, BARE, MLFLOW, TWO, Service, bench
from level4_deployment.config import configure
from shared.console import bar, console, show_table, step
from shared.data.flights import load_flights
from shared.data.split import future, history
from shared.errors import command

CONNECTIONS, ROUNDS, SECONDS = (1, 8, 32), 5, 1.0
FLIGHTS = 2_000  # different requests
ENOUGH_CORES = 4  # for two workers, their writers and challengers, and the load
Key = tuple[str, int]  # service, connections


@dataclass
class LoadResult:
    """What one service did at one number of connections. rates: requests/s, by round."""

    rates: list[float] = field(default_factory=list)
    milliseconds: list[float] = field(default_factory=list)
    errors: int = 0


def load(service: Service, connections: int, folder: Path, seconds: float) -> dict[str, Any]:
    """Load a service from another process."""
    file = folder / f"{service.path.strip('/')}-{service.port}.json"
    if not file.exists():
        file.write_text(json.dumps({"path": service.path, "bodies": service.bodies}))
    words = [str(service.port), str(file), str(connections), str(seconds)]
    told = subprocess.run(
        [sys.executable, "-m", "level4_deployment.benchmarks.load_client", *words], stdout=subprocess.PIPE, check=True
    )
    found: dict[str, Any] = json.loads(told.stdout)
    return found


def measure(services: list[Service], folder: Path) -> dict[Key, LoadResult]:
    """All rounds; a first one, which warms them up, does not count."""
    seen: dict[Key, LoadResult] = defaultdict(LoadResult)
    with bar("Rounds", ROUNDS + 1) as done:
        for number in range(ROUNDS + 1):
            for connections in CONNECTIONS:
                for service in services:
                    told = load(service, connections, folder, SECONDS if number else SECONDS / 2)
                    if number:
                        one = seen[service.name, connections]
                        one.rates.append(told["rate"])
                        one.milliseconds += told["ms"]
                        one.errors += told["errors"]
            done()
    return seen


def ratio(seen: dict[Key, LoadResult], one: str, other: str, connections: int) -> float:
    """The median over the rounds of how many times as many requests `one` answered as `other` in the same round."""
    pairs = zip(seen[one, connections].rates, seen[other, connections].rates, strict=True)
    return median(mine / theirs for mine, theirs in pairs)


def show(services: list[Service], seen: dict[Key, LoadResult]) -> None:
    """Print a table for each number of connections."""
    columns = ["Service", "Per s", "Of bare", "p50 ms", "p99 ms", "Errors", "Requests", "MB"]
    for connections in CONNECTIONS:
        rows = []
        for service in services:
            one = seen[service.name, connections]
            share = ratio(seen, service.name, BARE, connections)
            p50, p99 = np.percentile(one.milliseconds, [50, 99])
            figures = [f"{median(one.rates):,.0f}", f"{share:.2f}", f"{p50:.1f}", f"{p99:.1f}"]
            counts = [f"{one.errors}", f"{len(one.milliseconds):,}", f"{service.megabytes():.0f}"]
            rows.append([service.name, *figures, *counts])
        many = f"{connections} connection{'s' * (connections > 1)}"
        show_table(f"{many}, single flights, median of {ROUNDS} rounds of {SECONDS:g} s", columns, rows)
    console.print(
        "level 4: assignment, a challenger in shadow, metrics, the durable log; two: with two workers; "
        "alone: the champion and the log only."
    )


def show_aims(services: list[Service], seen: dict[Key, LoadResult]) -> None:
    """Say how far level 4 is from what it should reach."""
    most = CONNECTIONS[-1]
    p99 = float(np.percentile(seen[ALL, most].milliseconds, 99))
    errors = float(sum(one.errors for (name, _), one in seen.items() if name in (ALONE, ALL, TWO)))
    memory = next(service for service in services if service.name == ALL).megabytes()
    aims = [
        ("requests/s, of the bare endpoint's", ratio(seen, ALL, BARE, most), ">=", 0.45),
        ("the same, at best", ratio(seen, ALL, BARE, most), ">=", 0.7),
        ("requests/s, times mlflow models serve", ratio(seen, ALL, MLFLOW, most), ">=", 25.0),
        ("ms, 99th percentile", p99, "<", 50.0),
        ("errors", errors, "<", 1.0),
        ("MB of one worker", memory, "<", 250.0),
        ("requests/s, two workers to one", ratio(seen, TWO, ALL, most), ">=", 1.6),
    ]
    rows = [
        [what, f"{value:.2f}", f"{sign} {aim:g}", "yes" if (value >= aim if sign == ">=" else value < aim) else "no"]
        for what, value, sign, aim in aims
    ]
    show_table(f"Level 4 at {most} connections", ["What", "LoadResult", "Aim", "Met"], rows)
    if (cores := os.cpu_count() or 1) < ENOUGH_CORES:
        console.print(f"Two workers and the load share {cores} cores here: two to one says little of what they can do.")


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
        asked = future(flights, settings.now).head(FLIGHTS)
        with bench(model, card, asked, folder) as start:
            with step("Start the services"):
                services = [
                    start.bare(),
                    start.level2(),
                    start.level4(ALONE, shadow=False),
                    start.level4(ALL, shadow=True),
                    start.level4(TWO, shadow=True, workers=2),
                    start.mlflow(settings),
                ]
            seen = measure(services, folder)
            show(services, seen)
            show_aims(services, seen)
        console.print(f"{sum(len(one.milliseconds) for one in seen.values()):,} requests were measured.")


if __name__ == "__main__":
    command(main)
