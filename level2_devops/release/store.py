"""Where releases are kept: their numbers, which one is current, and who changed what."""

import json
import re
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

MODEL = "model"  # the folder of the model inside a release


class ReleaseError(UserError):
    """A release that failed a gate, or that cannot be rolled back."""


@dataclass(frozen=True)
class Current:
    """The release that is to serve.

    before: those that served before it, oldest first; a rollback takes the last of them.
    change: counts the switches, so that whoever serves can say which of them it has carried out.
    """

    version: str
    before: tuple[str, ...]
    change: int


@dataclass(frozen=True)
class Store:
    """The folder `home` with everything that level 2 keeps."""

    home: Path

    def app(self, version: str) -> Path:
        """The unpacked release: what a service of this version runs from."""
        return self.home / "releases" / version / "app"

    def versions(self) -> list[str]:
        """The releases that were published, oldest first."""
        found = [child.name for child in (self.home / "releases").glob("*")]
        return sorted((name for name in found if re.fullmatch(r"\d+\.\d+\.\d+", name)), key=_number)

    def next_version(self) -> str:
        """A number that no attempt has ever had, the failed ones and the deleted ones included."""
        tried = [event["version"] for event in self.history()]
        newest = max(map(_number, [*tried, *self.versions()]), default=(1, 0, -1))
        return ".".join(map(str, (*newest[:2], newest[2] + 1)))

    def current(self) -> Current | None:
        """The release that is to serve, or None before the first."""
        try:
            told = json.loads((self.home / "current.json").read_text())
        except FileNotFoundError:
            return None
        return Current(told["version"], tuple(told["before"]), told["change"])

    def point_to(self, current: Current) -> None:
        """Switch: one small file is replaced as a whole, so every reader sees the old release or the new one."""
        write_json(self.home / "current.json", asdict(current))

    def publish(self, made: Path, version: str, digest: str, who: str) -> None:
        """Move a finished release to its place by one rename; the history keeps its digest, apart from its files."""
        self.record("published", version, who, manifest=digest)
        (self.home / "releases").mkdir(exist_ok=True)
        made.replace(self.home / "releases" / version)

    def record(self, what: str, version: str, who: str, **more: str) -> None:
        """Append one event to the history: building, published, released, refused or rolled back."""
        at = datetime.now(UTC).isoformat(timespec="seconds")
        line = json.dumps({"at": at, "who": who, "what": what, "version": version, **more}) + "\n"
        with (self.home / "history.jsonl").open("a+b") as file:
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)  # a line that a sudden end cut off told nothing
            file.write(line.encode())

    def history(self) -> list[dict[str, str]]:
        """All events, oldest first; a last line without its end is none."""
        file = self.home / "history.jsonl"
        lines = file.read_text().split("\n")[:-1] if file.exists() else []
        return [json.loads(line) for line in lines]

    def manifest_digest(self, version: str) -> str:
        """The SHA-256 of a release's manifest as the history has it: kept apart from what it vouches for."""
        digests = (event["manifest"] for event in self.history() if event["version"] == version and "manifest" in event)
        digest = next(digests, None)
        if digest is None:
            raise ReleaseError(f"{version} was never published. Remedy: make release.")
        return digest

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Let one release or rollback work at a time; the next waits. A killed one lets go by itself."""
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
        """An empty folder that nobody looks into; what killed releases left in theirs goes as well."""
        for left in self.home.glob("building-*"):
            shutil.rmtree(left)
        folder = Path(tempfile.mkdtemp(prefix="building-", dir=self.home))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _number(version: str) -> tuple[int, int, int]:
    major, minor, patch = version.split(".")
    return int(major), int(minor), int(patch)
