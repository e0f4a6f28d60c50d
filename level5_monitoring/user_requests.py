"""The requests that users have made of the replayed year, and how many failed: counted by the client that makes them.

The service's own tables cannot say it: a request that fails may never have reached them.
"""

from dataclasses import asdict
from pathlib import Path

from pydantic.dataclasses import dataclass

from shared.files import keep_json, read_json

FILE = "user_requests.json"


@dataclass(frozen=True, config={"extra": "forbid"})
class UserRequests:
    """made: all requests since the year began, each for many flights; failed: those without an answer.

    Written after each step of the replay: the requests of a step in which it is killed are missing.
    """

    made: int = 0
    failed: int = 0


def read_requests(home: Path) -> UserRequests | None:
    """What was counted in this level's folder; None where nobody has counted. Raises StateError."""
    file = home / FILE
    try:
        return read_json(file, UserRequests, f"remove {file}: the requests so far are then forgotten")
    except FileNotFoundError:
        return None


def keep_requests(home: Path, counted: UserRequests) -> None:
    """Keep what was counted; the file is replaced only where it holds something else."""
    keep_json(home / FILE, asdict(counted))
