"""What is to be served: one small file that the control plane writes whole and every worker follows."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

ROUTES, MODELS, WORKERS = "routes.json", "models", "workers"  # in the platform's folder


@dataclass(frozen=True)
class Package:
    """A version as it is served: a folder of files in MODELS, named by the digest of its manifest.

    files: SHA-256 of each file, from the registry's record and never from the folder itself.
    """

    version: int
    files: dict[str, str]

    @property
    def digest(self) -> str:
        """SHA-256 of the manifest: the same at every stage from training to production."""
        return hashlib.sha256(json.dumps(self.files, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Split:
    """The experiment as a worker sees it. share: of the flights that the challenger answers, 0 in shadow."""

    experiment: str
    salt: str
    share: float


@dataclass(frozen=True)
class Routes:
    """Who answers. generation: counts the changes, so that workers can be seen to agree."""

    generation: int
    champion: Package
    challenger: Package | None = None
    split: Split | None = None


def write_routes(home: Path, routes: Routes) -> None:
    """Replace the routes at once: a reader sees the old ones or the new."""
    beside = home / f"{ROUTES}.part"
    beside.write_text(json.dumps(asdict(routes), indent=2) + "\n")
    beside.replace(home / ROUTES)


def read_routes(home: Path) -> Routes | None:
    """The routes as they are now; None before the first."""
    try:
        found = json.loads((home / ROUTES).read_text())
    except FileNotFoundError:
        return None
    challenger, split = found["challenger"], found["split"]
    return Routes(
        found["generation"],
        Package(**found["champion"]),
        Package(**challenger) if challenger else None,
        Split(**split) if split else None,
    )
