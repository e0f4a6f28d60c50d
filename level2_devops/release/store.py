"""The store of releases: their folders, and the history, which says what is current and which numbers are taken."""

import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from shared.console import step
from shared.errors import UserError
from shared.files import garbled


class ReleaseError(UserError):
    """A release that failed a gate, or that cannot be rolled back."""


@dataclass(frozen=True)
class Current:
    """The release that should serve.

    before: the releases that served before it, oldest first; a rollback takes the last of them.
    change: grows with each switch, so that the supervisor can report which of them it has carried out.
    """

    version: str
    before: tuple[str, ...]
    change: int


def _event(*, what: str, version: str, **more: str) -> dict[str, str]:
    """An event of the history; raises ValueError for a version that is none."""
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        raise ValueError(f"version {version!r}")
    return {**more, "what": what, "version": version}


@dataclass(frozen=True)
class Store:
    """The folder `home`, in which level 2 keeps everything."""

    home: Path

    def app(self, version: str) -> Path:
        """The folder that a service of this version runs from."""
        return self.home / "releases" / version / "app"

    def next_version(self) -> str:
        """A number that no earlier attempt used, not even one that failed or was deleted."""
        names = {event["version"] for event in self.history()} | {one.name for one in self.home.glob("releases/*")}
        major, minor, patch = max((tuple(map(int, name.split("."))) for name in names), default=(1, 0, -1))
        return f"{major}.{minor}.{patch + 1}"

    def current(self) -> Current | None:
        """The release that should serve, by the releases and rollbacks in the history; None before the first."""
        served: list[str] = []
        change = 0
        for event in self.history():
            what, version = event["what"], event["version"]
            if what == "released":
                served.append(version)
                change += 1
            elif what == "rolled back" or (what == "refused" and served[-1:] == [version]):  # by the running service
                del served[-1:]
                change += 1
        return Current(served[-1], tuple(served[:-1]), change) if served else None

    def publish(self, made: Path, version: str, digest: str, actor: str) -> None:
        """Move a finished release to its place by one rename; the history keeps its digest, apart from the files."""
        self.record("published", version, actor, manifest=digest)
        (self.home / "releases").mkdir(exist_ok=True)
        made.replace(self.home / "releases" / version)

    def record(self, what: str, version: str, actor: str, **more: str) -> None:
        """Append one event to the history: building, published, released, refused, rolled back or cut off."""
        at = datetime.now(UTC).isoformat(timespec="seconds")
        line = json.dumps({"at": at, "actor": actor, "what": what, "version": version, **more}) + "\n"
        with (self.home / "history.jsonl").open("a+b") as file:
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)  # remove a line that a killed process left unfinished
            file.write(line.encode())

    def history(self) -> list[dict[str, str]]:
        """All events, oldest first; an unfinished last line is ignored."""
        file = self.home / "history.jsonl"
        lines = file.read_bytes().split(b"\n")[:-1] if file.exists() else []
        events: list[dict[str, str]] = []
        for number, line in enumerate(lines, 1):
            with garbled(file, f"remove its line {number}; a release or rollback that it held is then unknown"):
                events.append(_event(**json.loads(line)))
        return events

    def manifest_digest(self, version: str) -> str:
        """The SHA-256 of a release's manifest, from the history: it is kept apart from the files that it protects."""
        digests = (event["manifest"] for event in self.history() if event["version"] == version and "manifest" in event)
        digest = next(digests, None)
        if digest is None:
            raise ReleaseError(f"{version} was never published. Remedy: make release.")
        return digest

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Run one release or rollback at a time; the next one waits. The lock of a killed process is released.

        What a killed one has left in the history without an end is first marked as cut off.
        """
        lock = FileLock(self.home / "release.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            with step("Wait for another release to end"):
                lock.acquire()
        try:
            last = {event["version"]: event for event in self.history()}
            for version, event in last.items():
                if event["what"] in {"building", "published"}:
                    self.record("cut off", version, event.get("actor", "unknown"))
            yield
        finally:
            lock.release()

    @contextmanager
    def workshop(self) -> Iterator[Path]:
        """An empty folder for a release in the making; folders that killed releases left behind are removed."""
        for left in self.home.glob("building-*"):
            shutil.rmtree(left)
        with tempfile.TemporaryDirectory(prefix="building-", dir=self.home, ignore_cleanup_errors=True) as folder:
            yield Path(folder)
