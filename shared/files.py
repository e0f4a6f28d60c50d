"""Write files so that a reader sees all of them or nothing; identify source files by digest and commit."""

import hashlib
import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

if TYPE_CHECKING:
    import pandas as pd

Result = TypeVar("Result")
ATTEMPTS, PAUSE = 20, 0.02  # seconds


def read_text(file: Path) -> str:
    """The text of a file that another process may replace just now; raises FileNotFoundError where there is none."""
    return _again(file.read_text)


def _again(do: Callable[[], Result]) -> Result:
    """Do it; where Windows refuses for a moment, because a file is replaced while it is read, do it again."""
    for _ in range(ATTEMPTS - 1):
        try:
            return do()
        except PermissionError:
            time.sleep(PAUSE)
    return do()


def write_json(file: Path, content: dict[str, Any]) -> None:
    """Write `content` as JSON; a reader sees all of it or what was there before."""
    with _replacement(file) as beside:
        beside.write_text(json.dumps(content, indent=2) + "\n")


def write_parquet(table: "pd.DataFrame", file: Path) -> None:
    """Write a table as Parquet, into a folder that is made if need be; a reader sees all of it or what was there."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with _replacement(file) as beside:
        table.to_parquet(beside)


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
