"""The artefact: one folder with everything that a service needs, and a checksum of each of its files."""

import json
import os
import platform
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from level2_devops.release.store import ReleaseError
from level2_devops.service.worker_process import MODEL
from shared.artefacts import MODEL_CARD, MODEL_FILE
from shared.files import file_digest, read_json

SOURCES = ["shared", "level2_devops"]
REQUIREMENTS = "requirements.txt"
MANIFEST = "manifest.json"
NOT_RELEASED = "*.png"


def copy_source(source: Path, app: Path) -> None:
    """Copy the code and the lock file, so that later edits change neither what is tested nor what is released."""
    for name in SOURCES:
        copy_folder(source / name, app / name, NOT_RELEASED)
    shutil.copy(source / REQUIREMENTS, app)


def copy_folder(source: Path, target: Path, *left_out: str) -> None:
    """Copy a folder without caches and `left_out`; the copy's folders can be written, even of a read-only checkout."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", *left_out))
    for one in (target, *target.rglob("*")):
        if one.is_dir():
            one.chmod(0o755)


def add_model(model: Path, app: Path) -> None:
    """Copy the model and its card; raises ReleaseError when one is missing."""
    (app / MODEL).mkdir()
    for name in (MODEL_FILE, MODEL_CARD):
        if not (model / name).is_file():
            raise ReleaseError(f"{name} is not in {model}. Remedy: train first, make train.")
        shutil.copy(model / name, app / MODEL)


def seal(app: Path, version: str, commit: str | None, actor: str, note: str) -> str:
    """Write the manifest with the checksum of every file, and make all files read-only; returns its SHA-256."""
    manifest = {
        "version": version,
        "built_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "built_by": actor,
        "note": note,
        "commit": commit,
        "python": platform.python_version(),
        "files": checksums(app),
    }
    (app / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
    if os.name != "nt":  # there, a read-only file could not be removed any more
        for file in _files(app):
            file.chmod(0o444)  # folders stay writable, so that `make clean` can remove them
    return file_digest(app / MANIFEST)


def verify(app: Path, digest: str) -> int:
    """Compare each file with the manifest, and the manifest with `digest`; returns the number of files.

    Raises ReleaseError that names the files that are missing, changed or additional.
    """
    manifest = app / MANIFEST
    if not manifest.is_file():
        raise ReleaseError(f"there is no release in {app}. Remedy: make release.")
    recorded, found = {MANIFEST: digest}, {MANIFEST: file_digest(manifest)}
    if found == recorded:
        recorded |= read_json(manifest, dict[str, Any], "make release")["files"]
        found |= checksums(app)
    wrong = sorted(name for name in {*recorded, *found} if recorded.get(name) != found.get(name))
    if wrong:
        raise ReleaseError(
            f"{', '.join(wrong[:5])}: {len(wrong)} of {len(recorded)} files in {app} are not what was released. "
            "Remedy: do not serve this release; roll back, or make a new one: make release."
        )
    return len(recorded)


def checksums(app: Path) -> dict[str, str]:
    """SHA-256 of each file except the manifest, by its path in the release."""
    return {file.relative_to(app).as_posix(): file_digest(file) for file in _files(app) if file != app / MANIFEST}


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file())
