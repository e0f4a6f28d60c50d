"""The artefact: everything a service needs in one folder that vouches for itself."""

import hashlib
import json
import platform
import shutil
import tarfile
from datetime import UTC, datetime
from pathlib import Path

from level2_devops.release.store import MODEL, ReleaseError
from shared.artefacts import MODEL_CARD, MODEL_FILE

SOURCES = ["shared", "level2_devops"]
REQUIREMENTS = "requirements.txt"
MANIFEST = "manifest.json"
NOT_RELEASED = shutil.ignore_patterns("__pycache__", "*.png")


def copy_source(source: Path, app: Path) -> None:
    """Copy the code and the lock: from here on nobody can change what is tested and released."""
    for name in SOURCES:
        shutil.copytree(source / name, app / name, ignore=NOT_RELEASED)
    shutil.copy(source / REQUIREMENTS, app)


def add_model(model: Path, app: Path) -> None:
    """Copy the model and its card; raises ReleaseError when one is missing."""
    (app / MODEL).mkdir()
    for name in (MODEL_FILE, MODEL_CARD):
        if not (model / name).is_file():
            raise ReleaseError(f"{name} is not in {model}. Remedy: train first, make train.")
        shutil.copy(model / name, app / MODEL)


def seal(app: Path, version: str, commit: str | None, who: str, note: str) -> str:
    """Write the manifest with the checksum of every file, and make all files read-only; returns its SHA-256."""
    manifest = {
        "version": version,
        "built_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "built_by": who,
        "note": note,
        "commit": commit,
        "python": platform.python_version(),
        "files": checksums(app),
    }
    (app / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
    for file in _files(app):
        file.chmod(0o444)  # the folders stay writable: else `make clean` could not remove them
    return _sha256(app / MANIFEST)


def pack(app: Path, archive: Path) -> None:
    """Write the same files as one archive, to be carried elsewhere."""
    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        tar.add(app, arcname=".")
    archive.chmod(0o444)


def verify(app: Path, digest: str) -> int:
    """Compare each file with the manifest, and the manifest with `digest`; returns the files' number.

    Raises ReleaseError naming every file that is missing, changed or too many.
    """
    try:
        said = _sha256(app / MANIFEST)
        told = json.loads((app / MANIFEST).read_text())["files"] if said == digest else {}
    except OSError:
        raise ReleaseError(f"there is no release in {app}. Remedy: make release.") from None
    wrong = [MANIFEST] if said != digest else []
    if not wrong:
        found = checksums(app)
        wrong = sorted(name for name in {*told, *found} if told.get(name) != found.get(name))
    if wrong:
        raise ReleaseError(
            f"{', '.join(wrong[:5])}: {len(wrong)} of {len(told) or 1} files in {app} are not what was released. "
            "Remedy: do not serve this release; roll back, or make a new one: make release."
        )
    return len(told)


def checksums(app: Path) -> dict[str, str]:
    """SHA-256 of each file, by its path in the release; of all but the manifest."""
    return {file.relative_to(app).as_posix(): _sha256(file) for file in _files(app) if file != app / MANIFEST}


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file())


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
