"""The store of releases: their version numbers, the pointer to the current one, and the history of changes."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from shared.console import step
from shared.errors import UserError
from shared.files import write_json


class ReleaseError(UserError):
    """A release that failed a gate, or that cannot be rolled back."""


@dataclass(frozen=True)
class Current:
    """The release that should serve.

    before: the releases that served before it, oldest first; a rollback takes the last of them.
    change: counts the switches, so that the supervisor can report which of them it has carried out.
    """

    version: str
    before: tuple[str, ...]
    change: int


@dataclass(frozen=True)
class Store:
    """The folder `home`, in which level 2 keeps everything."""

    home: Path

    def app(self, version: str) -> Path:
        """The folder that a service of this version runs from."""
        return self.home / "releases" / version / "app"

    def next_version(self) -> str:
        """A number that no earlier attempt used, not even one that failed or was deleted."""
        tried = [tuple(map(int, event["version"].split("."))) for event in self.history()]
        major, minor, patch = max(tried, default=(1, 0, -1))
        return f"{major}.{minor}.{patch + 1}"

    def current(self) -> Current | None:
        """The release that should serve, or None before the first."""
        try:
            found = json.loads((self.home / "current.json").read_text())
        except FileNotFoundError:
            return None
        return Current(found["version"], tuple(found["before"]), found["change"])

    def point_to(self, current: Current) -> None:
        """Replace the pointer atomically: every reader sees the old release or the new one."""
        write_json(self.home / "current.json", asdict(current))

    def publish(self, made: Path, version: str, digest: str, actor: str) -> None:
        """Move a finished release to its place by one rename; the history keeps its digest, apart from the files."""
        self.record("published", version, actor, manifest=digest)
        (self.home / "releases").mkdir(exist_ok=True)
        made.replace(self.home / "releases" / version)

    def record(self, what: str, version: str, actor: str, **more: str) -> None:
        """Append one event to the history: building, published, released, refused or rolled back."""
        at = datetime.now(UTC).isoformat(timespec="seconds")
        line = json.dumps({"at": at, "actor": actor, "what": what, "version": version, **more}) + "\n"
        with (self.home / "history.jsonl").open("a+b") as file:
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)  # remove a line that a killed process left unfinished
            file.write(line.encode())

    def history(self) -> list[dict[str, str]]:
        """All events, oldest first; an unfinished last line is ignored."""
        file = self.home / "history.jsonl"
        lines = file.read_text().split("\n")[:-1] if file.exists() else []
        return [json.loads(line) for line in lines]

    def manifest_digest(self, version: str) -> str:
        """The SHA-256 of a release's manifest, from the history: it is kept apart from the files that it protects."""
        digests = (event["manifest"] for event in self.history() if event["version"] == version and "manifest" in event)
        digest = next(digests, None)
        if digest is None:
            raise ReleaseError(f"{version} was never published. Remedy: make release.")
        return digest

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Run one release or rollback at a time; the next one waits. The lock of a killed process is released."""
        lock = FileLock(self.home / "release.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            with step("Wait for another release to end"):
                lock.acquire()
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def workshop(self) -> Iterator[Path]:
        """An empty folder for a release in the making; folders that killed releases left behind are removed."""
        for left in self.home.glob("building-*"):
            shutil.rmtree(left)
        folder = Path(tempfile.mkdtemp(prefix="building-", dir=self.home))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
