"""Which code and which environment: what a version's record says of its making."""

import hashlib
import platform
from importlib.metadata import version
from pathlib import Path

from shared.files import commit_of
from shared.settings import PROJECT

PACKAGES = ["numpy", "pandas", "scikit-learn", "scipy", "skops"]  # what a fitted pipeline needs to predict
CODE = ["shared/*.py", "level2_devops/features.py", "level2_devops/model.py", "level3_training_pipeline/*.py"]


def code_digest() -> str:
    """SHA-256 of the sources that make a model; it moves with any edit, committed or not."""
    total = hashlib.sha256()
    for file in sorted(file for pattern in CODE for file in PROJECT.glob(pattern)):
        total.update(file.name.encode() + file.read_bytes())
    return total.hexdigest()


def commit() -> str:
    """The commit checked out, with `-dirty` where the code that makes a model was edited; `unknown` without git."""
    return commit_of(PROJECT, *CODE) or "unknown"


def requirements() -> list[str]:
    """What a saved model needs, with the versions it was made with."""
    return [f"{package}=={version(package)}" for package in PACKAGES]


def environment() -> dict[str, str]:
    """Python, platform and the lock file, as they are here."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "requirements_sha256": file_digest(PROJECT / "requirements.txt"),
    }


def file_digest(file: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(file.read_bytes()).hexdigest()
