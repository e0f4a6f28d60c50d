"""The routes: one small file that names the versions to serve; the control plane writes it and every worker follows."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic.dataclasses import dataclass

from level4_deployment.serving.package import Package
from shared.files import StateError, keep_json, read_json

ROUTES, MODELS, WORKERS = "routes.json", "models", "workers"  # in the platform's folder


@dataclass(frozen=True, config={"extra": "forbid"})
class Split:
    """The experiment as a worker needs it. share: of the flights that the challenger answers; 0 in shadow."""

    experiment: str
    salt: str
    share: float


@dataclass(frozen=True, config={"extra": "forbid"})
class Routes:
    """The versions to serve. generation: counts the changes, which shows whether all workers serve the same routes."""

    generation: int
    champion: Package
    challenger: Package | None = None
    split: Split | None = None


def read_status(file: Path) -> dict[str, Any] | None:
    """What a worker has published; None before it has, after it stopped, and until it replaces a garbled file."""
    try:
        return read_json(file, _status, "the worker writes it again")
    except (FileNotFoundError, StateError):
        return None


def _status(*, pid: int, process: str, generation: int, refused: str, **more: Any) -> dict[str, Any]:
    return {"pid": int(pid), "process": process.strip(), "generation": int(generation), "refused": refused, **more}


def write_routes(home: Path, routes: Routes) -> bool:
    """Replace the routes atomically, unless the file holds just these; returns whether it was written."""
    return keep_json(home / ROUTES, asdict(routes))


def read_routes(home: Path) -> Routes | None:
    """The present routes; None before the first. Raises StateError."""
    try:
        return read_json(home / ROUTES, Routes, "start the platform: it writes them again, from the registry")
    except FileNotFoundError:
        return None
