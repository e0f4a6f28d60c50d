"""What the log of a played year cannot hold, in files that the page reads: injected faults, and the users' requests.

Requests are counted by the client that makes them: one that fails may never have reached the service and its tables.
"""

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic.dataclasses import dataclass

from shared.files import keep_json, read_json

FAULTS_FILE, REQUESTS_FILE = "faults.json", "user_requests.json"


@dataclass(frozen=True, config={"extra": "forbid"})
class InjectedFault:
    """A fault of `fault_injection.FAULTS`, active from `day` to `until`, or still if that is "".

    number: its size, 1 to 3. what, size: the same in words.
    """

    fault: str
    number: int
    what: str
    size: str
    day: str
    until: str = ""


@dataclass(frozen=True, config={"extra": "forbid"})
class UserRequests:
    """made: all requests since the year began, each for many flights; failed: those without an answer.

    Written after each step of the replay: the requests of a step in which it is killed are missing.
    """

    made: int = 0
    failed: int = 0


def read_faults(home: Path) -> list[InjectedFault]:
    """The faults that were injected, oldest first. home: this level's folder."""
    file = home / FAULTS_FILE
    try:
        return read_json(file, _injected, f"remove {file}: the faults that were injected are then forgotten")
    except FileNotFoundError:
        return []


def _injected(faults: list[dict[str, Any]]) -> list[InjectedFault]:
    return [InjectedFault(**one) for one in faults]


def write_faults(home: Path, faults: Iterable[InjectedFault]) -> None:
    """Keep the faults that were injected; nothing is written where the file holds just them."""
    keep_json(home / FAULTS_FILE, {"faults": [asdict(one) for one in faults]})


def read_requests(home: Path) -> UserRequests | None:
    """What was counted in this level's folder; None where nobody has counted. Raises StateError."""
    file = home / REQUESTS_FILE
    try:
        return read_json(file, UserRequests, f"remove {file}: the requests so far are then forgotten")
    except FileNotFoundError:
        return None


def keep_requests(home: Path, counted: UserRequests) -> None:
    """Keep what was counted; the file is replaced only where it holds something else."""
    keep_json(home / REQUESTS_FILE, asdict(counted))
