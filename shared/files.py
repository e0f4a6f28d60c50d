"""Files written so that a reader sees all of them or nothing, and the commit that a folder stands at."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

if TYPE_CHECKING:
    import pandas as pd


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
        beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)


def commit_of(source: Path, *paths: str) -> str | None:
    """The commit `source` stands at, with `-dirty` if `paths` in it were edited since; None where there is no git."""
    git = shutil.which("git")
    if not git or not (source / ".git").exists():
        return None

    def ask(*words: str) -> str:
        return subprocess.run([git, "-C", str(source), *words], capture_output=True, text=True, check=True).stdout

    try:
        edited = ask("status", "--porcelain", "--", *paths)
        return ask("rev-parse", "HEAD").strip() + ("-dirty" if edited else "")
    except subprocess.CalledProcessError:  # a repository of another user, or without a commit
        return None
