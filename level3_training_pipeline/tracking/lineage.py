"""Which code and which environment made a version, and how runs and versions keep it."""

import json
import platform
from importlib.metadata import version

from shared.data import flights
from shared.files import commit_of, file_digest, source_digest
from shared.settings import PROJECT

PACKAGES = ["numpy", "pandas", "scikit-learn", "scipy", "skops"]  # what a fitted pipeline needs to predict
CODE = [  # every module that a model or its evaluation depends on; a test compares the list with the imports
    *flights.CODE,
    "shared/data/split.py",
    "shared/score.py",
    "level2_devops/features.py",
    "level2_devops/model.py",
    "level3_training_pipeline/pipeline/average.py",
    "level3_training_pipeline/pipeline/data.py",
    "level3_training_pipeline/pipeline/evaluate.py",
    "level3_training_pipeline/pipeline/flow.py",
    "level3_training_pipeline/pipeline/tune.py",
    "level3_training_pipeline/tracking/registry.py",  # it saves the model
]


TAG = "lineage"
READ = ("today", "cause", "training_key")  # what people read, and what is searched for, remains a tag of its own


def bundle(tags: dict[str, str]) -> dict[str, str]:
    """The tags as MLflow keeps them: all but READ are one tag, `lineage`, as its pages show a line for each."""
    read = {name: tags[name] for name in READ if name in tags}
    return read | {TAG: json.dumps({name: value for name, value in tags.items() if name not in READ})}


def unbundle(kept: dict[str, str]) -> dict[str, str]:
    """The tags that were bundled, and those that were added later."""
    return json.loads(kept.get(TAG, "{}")) | {name: value for name, value in kept.items() if name != TAG}


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
