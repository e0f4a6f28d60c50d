"""`make benchmark-serving`: how fast level 4's service is on this machine, compared with others in interleaved rounds.

All services run all the time. In each round each one is loaded for a moment, one after the other, so that other work
of the machine disturbs all of them alike. The load comes from a process of its own, on the same cores.
"""

import json
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import pandas as pd

from level2_devops.load_generator import client_command
from level2_devops.model import ModelCard, fit
from level3_training_pipeline.pipeline import tune
from level4_deployment.benchmarks.services import (
    BARE,
    CHAMPION_ONLY,
    TWO_WORKERS,
    WITH_SHADOW,
    Service,
    ServiceStarter,
)
from level4_deployment.config import configure
from shared.console import bar, console, show_table, step
from shared.data.flights import load_flights
from shared.data.split import future, history

CONNECTIONS, ROUNDS, SECONDS = (1, 8, 32), 5, 1.0
FLIGHTS = 2_000  # different requests


def load(service: Service, connections: int, folder: Path, seconds: float) -> dict[str, Any]:
    """Load a service from another process: requests/s, the milliseconds of each request, and the number of errors."""
    bodies = folder / f"{service.path.strip('/')}-{service.port}.json"
    if not bodies.exists():
        bodies.write_text(json.dumps(service.bodies))
    command = client_command(service.port, service.path, bodies, connections, 0, seconds)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as client:  # ends with its input
        rows = pd.DataFrame(json.load(cast("IO[bytes]", client.stdout)), columns=["at", "ms", "status", "version"])
    took = rows["at"].max() - (rows["at"] - rows["ms"] / 1000).min()
    return {"rate": len(rows) / took, "ms": rows["ms"].to_numpy(), "errors": int((rows["status"] != 200).sum())}


def measure(services: list[Service], folder: Path) -> pd.DataFrame:
    """A row for each round, number of connections and service; a first round, which warms them up, does not count."""
    rows = []
    with bar("Rounds", ROUNDS + 1) as advance:
        for number in range(ROUNDS + 1):
            for connections in CONNECTIONS:
                for service in services:
                    found = load(service, connections, folder, SECONDS if number else SECONDS / 2)
                    rows.append({"round": number, "connections": connections, "service": service.name, **found})
            advance()
    table = pd.DataFrame(rows)
    return table[table["round"] > 0]


def ratio(rounds: pd.DataFrame, one: str, other: str, connections: int) -> float:
    """Requests/s of `one` divided by those of `other` in the same round: the median over the rounds."""
    rates = rounds[rounds["connections"] == connections].pivot(index="round", columns="service", values="rate")
    return float((rates[one] / rates[other]).median())


def show(services: list[Service], rounds: pd.DataFrame) -> None:
    """Print a table for each number of connections."""
    relative = "relative\nto bare\nFastAPI"
    columns = ["Service", "requests/s", relative, "p50\nms", "p99\nms", "errors", "sent", "MB"]  # 80 wide
    for connections in CONNECTIONS:
        rows = []
        for service in services:
            own = rounds[(rounds["service"] == service.name) & (rounds["connections"] == connections)]
            milliseconds = np.concatenate(own["ms"].to_list())
            p50, p99 = np.percentile(milliseconds, [50, 99])
            speed = [f"{own['rate'].median():,.0f}", f"{ratio(rounds, service.name, BARE, connections):.2f}"]
            counts = [f"{own['errors'].sum()}", f"{len(milliseconds):,}", f"{service.megabytes():.0f}"]
            rows.append([service.name, *speed, f"{p50:.1f}", f"{p99:.1f}", *counts])
        many = f"{connections} connection{'s' * (connections > 1)}"
        show_table(f"{many}, one flight per request, median of {ROUNDS} rounds of {SECONDS:g} s", columns, rows)
    console.print(
        f"{CHAMPION_ONLY}: a champion and the durable log.\n"
        f"{WITH_SHADOW}: also assignment, a challenger in shadow, and metrics.\n"
        f"{TWO_WORKERS}: the same with two workers."
    )


def main() -> None:
    """Start the services, measure them, print the tables."""
    settings = configure()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        with step("Train a model"):
            flights = load_flights(settings)
            known = history(flights, settings.now)
            model = fit(known, **tune.START)
        card = ModelCard(float(known["late"].mean()), len(known), str(settings.today))
        start = ServiceStarter(model, card, future(flights, settings.now).head(FLIGHTS), folder, stack)
        with step("Start the services"):
            services = [
                start.bare(),
                start.level2(),
                start.level4(CHAMPION_ONLY, shadow=False),
                start.level4(WITH_SHADOW, shadow=True),
                start.level4(TWO_WORKERS, shadow=True, workers=2),
                start.mlflow(settings),
            ]
        rounds = measure(services, folder)
        show(services, rounds)
        console.print(f"{sum(map(len, rounds['ms'])):,} requests were measured.")
