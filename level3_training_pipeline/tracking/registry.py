"""The registry: versions of the model with their lineage, found by number or alias."""

import json
import shutil
import tempfile
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import mlflow
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature, infer_signature
from mlflow.types import ColSpec, DataType, Schema
from sklearn.pipeline import Pipeline

from level2_devops.features import CATEGORIES
from level2_devops.model import TRUSTED_TYPES, ModelCard, load
from level3_training_pipeline.tracking.lineage import bundle, requirements, unbundle
from shared.artefacts import MODEL_CARD, MODEL_FILE
from shared.errors import UserError
from shared.files import file_digest

MODEL = "flight-delays"
CHAMPION = "champion"
ABOUT = "The probability of arriving 15 or more minutes late, an hour before departure. Alias champion: deployed last."
BROUGHT_BY = {  # a workspace with a registry of its own, and the command that brings a version there
    "level4": "make deliver VERSION=n, which takes a version of level 3 there",
    "level5": "make level5",
    "demo": "make up",
}
NO_SUCH = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # with any other error the version may exist


FILES = {MODEL_FILE: "model_sha256", f"extra_files/{MODEL_CARD}": "model_card_sha256"}  # and the tags of their digests


class RegistryError(UserError):
    """A version that does not exist, or differs from its record."""


@dataclass(frozen=True)
class Version:
    """A registered version and its record."""

    number: int
    run_id: str
    tags: dict[str, str]


def log_model(model: Pipeline, card: ModelCard, example: pd.DataFrame) -> str:
    """Save the pipeline in the running MLflow run, without pickle; returns its URI.

    It holds stock scikit-learn classes only, so it loads wherever its recorded requirements are installed.
    """
    with tempfile.TemporaryDirectory() as folder:
        card_file = Path(folder) / MODEL_CARD
        card_file.write_text(json.dumps(asdict(card)))
        logged = mlflow.sklearn.log_model(
            model,
            name="model",
            serialization_format="skops",
            skops_trusted_types=TRUSTED_TYPES,
            pyfunc_predict_fn="predict_proba",
            signature=_signature(model, example),
            input_example=example,
            pip_requirements=requirements(),
            extra_files=[str(card_file)],
        )
    return str(logged.model_uri)


def _signature(model: Pipeline, example: pd.DataFrame) -> ModelSignature:
    """Codes and float32 numbers, each column required, because a missing number is NaN, which is a float.

    MLflow's own inference makes a column optional when one of the example's few rows has no value in it.
    """
    kinds = {name: DataType.string if name in CATEGORIES else DataType.float for name in example}
    inputs = Schema([ColSpec(kind, str(name)) for name, kind in kinds.items()])
    return ModelSignature(inputs, infer_signature(example, model.predict_proba(example)).outputs)


def register(client: MlflowClient, model_uri: str, run_id: str, tags: dict[str, str]) -> Version:
    """Make the next version: files first, then version and tags in one transaction, so that a kill leaves no half."""
    try:
        client.create_registered_model(MODEL, description=ABOUT)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    folder = Path(mlflow.artifacts.download_artifacts(model_uri))
    digests = {tag: file_digest(folder / name) for name, tag in FILES.items()}
    made = client.create_model_version(
        MODEL,
        source=model_uri,
        run_id=run_id,
        tags=bundle(tags | digests),
        description=f"As of {tags['today']}, {tags['cause']}; code of commit {tags['commit'][:12]}.",
        model_id=model_uri.removeprefix("models:/") if model_uri.startswith("models:/") else None,
    )
    return _version(made)


def find(client: MlflowClient, key: str) -> Version | None:
    """The version that a training with this key has made, if there is one whose files are as they were registered."""
    return next((version for version in made_with(client, key) if fault(client, version) is None), None)


def made_with(client: MlflowClient, key: str) -> list[Version]:
    """All versions that trainings with this key have made."""
    return [*map(_version, client.search_model_versions(f"name = '{MODEL}' and tags.training_key = '{key}'"))]


def get(client: MlflowClient, number: str) -> Version:
    """The version with this number; raises RegistryError."""
    try:
        return _version(client.get_model_version(MODEL, number))
    except MlflowException as error:
        if error.error_code not in NO_SUCH:
            raise
        known = sorted(int(version.version) for version in client.search_model_versions(f"name = '{MODEL}'"))
        level = Path(client.tracking_uri.partition("?")[0]).parents[1].name  # the store is LEVEL/level3/mlflow.db
        remedy = BROUGHT_BY.get(level, "make level3, which trains one")
        level = level.replace("level", "level ") if level in BROUGHT_BY else "level 3"
        raise RegistryError(
            f"VERSION={number}: {level} has no such version; known there: {', '.join(map(str, known)) or 'none'}. "
            f"Remedy: {'one of these, or ' if known else ''}{remedy}."
        ) from error


def by_alias(client: MlflowClient, alias: str) -> Version | None:
    """The version that the alias names, if there is one: `champion` is the one that was deployed last."""
    try:
        return _version(client.get_model_version_by_alias(MODEL, alias))
    except MlflowException as error:
        if error.error_code not in NO_SUCH:
            raise
        return None


def promote(client: MlflowClient, version: Version, actor: str, release: str) -> None:
    """Make `version` the champion and record who did it, when, and in which release.

    The alias is written first: a crash between the writes leaves the right champion, without its record.
    """
    client.set_registered_model_alias(MODEL, CHAMPION, str(version.number))
    record = {"deployed_by": actor, "deployed_at": datetime.now(UTC).isoformat(timespec="seconds"), "release": release}
    for key, value in record.items():
        client.set_model_version_tag(MODEL, str(version.number), key, value)


def artefacts(client: MlflowClient, version: Version) -> Path:
    """The folder in which MLflow keeps the version."""
    return Path(mlflow.artifacts.download_artifacts(client.get_model_version(MODEL, str(version.number)).source))


def fetch(client: MlflowClient, version: Version, into: Path) -> Path:
    """Copy model and card into a folder, as level 2 serves them; raises RegistryError for a missing or changed file."""
    remedy = "Remedy: restore the file, or train again, which makes a new version."
    try:
        kept = artefacts(client, version)
        found = {name: file_digest(Path(shutil.copy(kept / name, into))) for name in FILES}
    except OSError as error:
        raise RegistryError(f"version {version.number}: a file cannot be read: {error}. {remedy}") from error
    for name, tag in FILES.items():
        if found[name] != version.tags.get(tag):
            raise RegistryError(
                f"version {version.number}: {kept / name} has SHA-256 {found[name]}, but the registered one "
                f"has {version.tags.get(tag)}. {remedy}"
            )
    return into


def fault(client: MlflowClient, version: Version) -> RegistryError | None:
    """What is wrong with the version's files, if they are not as they were registered."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            fetch(client, version, Path(folder))
        except RegistryError as error:
            return error
    return None


def load_version(client: MlflowClient, version: Version) -> Pipeline:
    """The version's pipeline; raises RegistryError or ModelError."""
    with tempfile.TemporaryDirectory() as folder:
        return load(fetch(client, version, Path(folder)))[0]


def _version(found: ModelVersion) -> Version:
    return Version(int(found.version), str(found.run_id), unbundle(found.tags))
