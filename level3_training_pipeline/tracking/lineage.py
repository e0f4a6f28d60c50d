"""Which code and which environment made a version."""

import hashlib
import platform
from importlib.metadata import version
from pathlib import Path

from shared.data import flights
from shared.files import commit_of, source_digest
from shared.settings import PROJECT

PACKAGES = ["numpy", "pandas", "scikit-learn", "scipy", "skops"]  # what a fitted pipeline needs to predict
CODE = [  # every module that a model or its evaluation depends on; a test compares the list with the imports
    *flights.CODE,
    "shared/data/split.py",
    "shared/score.py",
    "level2_devops/features.py",
    "level2_devops/model.py",
    "level3_training_pipeline/pipeline/data.py",
    "level3_training_pipeline/pipeline/evaluate.py",
    "level3_training_pipeline/pipeline/flow.py",
    "level3_training_pipeline/pipeline/tune.py",
    "level3_training_pipeline/tracking/registry.py",  # it saves the model
]


def code_digest() -> str:
    """SHA-256 of the code that makes a model; it changes with every edit, committed or not."""
    return source_digest(PROJECT, CODE)


def commit() -> str:
    """The commit checked out, with `-dirty` where the code that makes a model was edited; `unknown` without git."""
    return commit_of(PROJECT, *CODE) or "unknown"


def requirements() -> list[str]:
    """The packages that a saved model needs, at the installed versions."""
    return [f"{package}=={version(package)}" for package in PACKAGES]


def environment() -> dict[str, str]:
    """Python, platform and the digest of the lock file."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "requirements_sha256": file_digest(PROJECT / "requirements.txt"),
    }


def file_digest(file: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(file.read_bytes()).hexdigest()
