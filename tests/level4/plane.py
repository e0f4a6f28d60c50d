"""A data plane without a registry: packages made on the spot, some bad on purpose, and workers to serve them."""

import hashlib
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from level2_devops.model import ModelCard
from level2_devops.service.worker_process import address_of, open_socket
from level4_deployment.delivery.packaging import convert
from level4_deployment.prediction_log import url_of
from level4_deployment.serving.package import GRAPH, Package
from level4_deployment.serving.routes import MODELS, Routes, Split, read_routes, write_routes
from level4_deployment.serving.worker import Worker, start_worker
from shared.artefacts import MODEL_CARD
from tests.support import eventually

CARD = ModelCard(0.25, 5_000, "2013-04-01")


def of_carrier(flight: dict[str, Any], code: str) -> dict[str, Any]:
    """The request of a flight, by another carrier: its id says so too."""
    own = flight["flight_id"]
    return flight | {"carrier": code, "flight_id": f"{own[:11]}{code}{own[13:]}"}


def keep(home: Path, version: int, made: Path) -> Package:
    """Move a folder with graph and card to where the platform looks for it."""
    files = {name: hashlib.sha256((made / name).read_bytes()).hexdigest() for name in (GRAPH, MODEL_CARD)}
    package = Package(version, files)
    target = home / MODELS / package.digest
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        made.rename(target)
    return package


def package(home: Path, version: int, model: Any) -> Package:
    made = home / f"made-{version}"
    made.mkdir(parents=True)
    convert(model, CARD, made)
    return keep(home, version, made)


@dataclass
class Plane:
    """Workers that serve on `address`."""

    home: Path
    address: str
    workers: list[Worker]
    client: httpx.Client
    listening: socket.socket
    log_url: str

    def start_another(self) -> None:
        """One more worker on the same socket."""
        made = start_worker(self.home, self.listening, self.log_url)
        self.workers.append(made)
        made.wait_ready()

    def ask(self, flight: dict[str, Any]) -> dict[str, Any]:
        answer = self.client.post("/predict", json=flight)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def ready(self) -> dict[str, Any]:
        """What /ready reports."""
        found: dict[str, Any] = self.client.get("/ready").json()
        return found

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.home / "log.db")) as log:
            return log.execute(query).fetchall()

    def logged(self) -> set[str]:
        """The ids of all answers on the log."""
        return {name for (name,) in self.rows("SELECT request_id FROM predictions")}

    def wait(self, generation: int) -> None:
        """Until every worker serves these routes."""
        eventually(
            lambda: all((one.status() or {}).get("generation") == generation for one in self.workers),
            shows=lambda: [one.status() for one in self.workers],
        )


@contextmanager
def plane(home: Path, count: int = 1, log_url: str = "") -> Iterator[Plane]:
    log_url = log_url or url_of(home)
    with open_socket() as listening:
        workers = [start_worker(home, listening, log_url) for _ in range(count)]
        try:
            for one in workers:
                one.wait_ready()
            with httpx.Client(base_url=address_of(listening), timeout=20) as client:
                yield Plane(home, address_of(listening), workers, client, listening, log_url)
        finally:
            for one in workers:
                one.stop()


def route(home: Path, generation: int, champion: Package, challenger: Package | None = None, share: float = 0) -> None:
    """Write the routes, with an experiment if there is a challenger."""
    split = Split("experiment", "salt", share) if challenger else None
    write_routes(home, Routes(generation, champion, challenger, split))


def routed(home: Path) -> tuple[int, int | None, float | None]:
    """Champion, challenger and share, as the workers read them."""
    routes = read_routes(home)
    assert routes
    challenger, split = routes.challenger, routes.split
    return routes.champion.version, challenger.version if challenger else None, split.share if split else None
