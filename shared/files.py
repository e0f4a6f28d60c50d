"""Files that others read while they are written, and the commit that all files stand at."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any


def write_json(file: Path, content: dict[str, Any]) -> None:
    """Write JSON beside `file`, then rename: a reader sees all of it or what was there before."""
    beside = file.with_name(f"{file.name}.{os.getpid()}.part")
    beside.write_text(json.dumps(content, indent=2) + "\n")
    beside.replace(file)


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
