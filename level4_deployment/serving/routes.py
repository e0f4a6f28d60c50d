"""The routes: one small file that names the versions to serve; the control plane writes it and every worker follows."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from level4_deployment.serving.package import Package
from shared.files import read_text, write_json

ROUTES, MODELS, WORKERS = "routes.json", "models", "workers"  # in the platform's folder


@dataclass(frozen=True)
class Split:
    """The experiment as a worker needs it. share: of the flights that the challenger answers; 0 in shadow."""

    experiment: str
    salt: str
    share: float


@dataclass(frozen=True)
class Routes:
    """The versions to serve. generation: counts the changes, which shows whether all workers serve the same routes."""

    generation: int
    champion: Package
    challenger: Package | None = None
    split: Split | None = None


def write_routes(home: Path, routes: Routes) -> None:
    """Replace the routes atomically."""
    write_json(home / ROUTES, asdict(routes))


def read_routes(home: Path) -> Routes | None:
    """The present routes; None before the first."""
    try:
        found = json.loads(read_text(home / ROUTES))
    except FileNotFoundError:
        return None
    challenger, split = found["challenger"], found["split"]
    return Routes(
        found["generation"],
        Package(**found["champion"]),
        Package(**challenger) if challenger else None,
        Split(**split) if split else None,
    )
