"""State files: write them so that a reader sees all or nothing, and read them so that a garbled one is named.

Every state file is read here (a test searches for others), so that an error names the file and a remedy. Source files
are identified by digest and commit.
"""

import hashlib
import io
import json
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

from shared.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

Made = TypeVar("Made")
ATTEMPTS, PAUSE = 20, 0.02  # seconds
BEGINS_WITHIN = 60.0  # seconds: SQLite makes an empty file first, and another process may see it


class StateError(UserError):
    """A state file that is garbled, half written, or of another version; the message names the file and the remedy."""


@contextmanager
def garbled(file: Path, remedy: str) -> Iterator[None]:
    """Turn whatever a reader of `file` raises for garbled content into a StateError; a missing file stays one."""
    try:
        yield
    except StateError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, sqlite3.DatabaseError) as error:
        if isinstance(error, sqlite3.OperationalError):  # it is locked, or cannot be opened: nothing is garbled
            raise
        why = shorten(str(error), 200, placeholder=" …")
        raise StateError(f"{file} is garbled ({type(error).__name__}: {why}). Remedy: {remedy}") from error


def _again(do: Callable[[], Made]) -> Made:
    """Do it; where Windows refuses for a moment, because a file is replaced while it is read, do it again."""
    for _ in range(ATTEMPTS - 1):
        try:
            return do()
        except PermissionError:
            time.sleep(PAUSE)
    return do()


def read_json(file: Path, make: Callable[..., Made], remedy: str) -> Made:
    """`make(**content)` of a JSON file with an object; raises StateError, and FileNotFoundError where there is none."""
    with garbled(file, remedy):
        return make(**json.loads(_again(file.read_bytes)))


def read_parquet(file: Path, remedy: str) -> "pd.DataFrame":
    """A table that `write_parquet` wrote; raises StateError unless its bytes have the checksum beside it."""
    import pandas as pd
    import pyarrow

    content = _again(file.read_bytes)
    with garbled(file, remedy):
        try:
            known = _checksums(file).read_text().split()
        except FileNotFoundError:
            known = []
        if hashlib.sha256(content).hexdigest() not in known:
            raise StateError(
                f"{file} is not what was written: its SHA-256 is not in {_checksums(file).name}. Remedy: {remedy}"
            )
        table = pd.read_parquet(io.BytesIO(content))
    pyarrow.default_memory_pool().release_unused()  # of the year of flights, 120 MB that reading has needed
    return table


def check_database(file: Path, remedy: str) -> None:
    """Raise StateError if `file` exists and is no SQLite database, or has been empty for longer than one begins."""
    if file.exists():
        found = file.stat()
        if not found.st_size and time.time() - found.st_mtime > BEGINS_WITHIN:
            raise StateError(f"{file} is garbled (it is empty). Remedy: {remedy}")
        locked = suppress(sqlite3.OperationalError)  # a database that is locked is one
        with locked, garbled(file, remedy), closing(sqlite3.connect(file, timeout=0)) as database:
            database.execute("SELECT count(*) FROM sqlite_master")


def keep_json(file: Path, content: dict[str, Any]) -> bool:
    """Write `content` unless the file holds exactly that; returns whether it was written."""
    try:
        kept = _again(file.read_bytes) == _as_json(content)
    except FileNotFoundError:
        kept = False
    if not kept:
        write_json(file, content)
    return not kept


def write_json(file: Path, content: dict[str, Any]) -> None:
    """Write `content` as JSON; a reader sees all of it or what was there before."""
    with _replacement(file) as beside:
        beside.write_bytes(_as_json(content))


def _as_json(content: dict[str, Any]) -> bytes:
    return (json.dumps(content, indent=2) + "\n").encode()


def write_parquet(table: "pd.DataFrame", file: Path) -> None:
    """Write a table as Parquet, into a folder that is made if need be; a reader sees all of it or what was there.

    The checksum beside it is written first, above that of the file which is replaced: at each moment, one of them fits.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with _replacement(file) as beside:
        table.to_parquet(beside)
        sums = [file_digest(one) for one in (beside, file) if one.exists()]
        with _replacement(_checksums(file)) as list_beside:
            list_beside.write_text("\n".join(sums) + "\n")


def _checksums(file: Path) -> Path:
    return file.with_name(f"{file.name}.sha256")


def file_digest(file: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


@contextmanager
def _replacement(file: Path) -> Iterator[Path]:
    """A new file beside `file`, for the block to write; it takes the name of `file` once the block has succeeded."""
    beside = file.with_name(f"{file.name}.{uuid4().hex}.part")
    try:
        yield beside
        _again(lambda: beside.replace(file))
    finally:
        beside.unlink(missing_ok=True)


def source_digest(project: Path, files: list[str]) -> str:
    """SHA-256 of these source files, given by their paths inside the project; it changes with every edit."""
    total = hashlib.sha256()
    for name in sorted(files):
        total.update(name.encode() + (project / name).read_bytes())
    return total.hexdigest()


def commit_of(source: Path, *paths: str) -> str | None:
    """The commit of `source`, with `-dirty` if `paths` in it were edited since then; None where there is no git."""
    git = shutil.which("git")
    if not git or not (source / ".git").exists():
        return None

    def ask(*words: str) -> str:
        return subprocess.run([git, "-C", str(source), *words], capture_output=True, text=True, check=True).stdout

    try:
        edited = ask("status", "--porcelain", "--", *paths)
        return ask("rev-parse", "HEAD").strip() + ("-dirty" if edited else "")
    except subprocess.CalledProcessError:  # the repository belongs to another user, or has no commit
        return None


def short_digest(digest: str) -> str:
    """The first eight characters of a digest or an identifier, as people see it."""
    return f"{digest[:8]}…"


def short_commit(commit: str) -> str:
    """The first eight characters of a commit, with its `-dirty`."""
    return commit[:8] + "-dirty" * commit.endswith("-dirty")
