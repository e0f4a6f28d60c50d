"""From the registry to a folder that can be served: convert once, record the digests, pull and verify everywhere."""

import json
import shutil
import tempfile
from pathlib import Path

import mlflow
from mlflow import MlflowClient

from level2_devops.model import load
from level3_training_pipeline.tracking import lineage, registry
from level4_deployment.serving.package import convert, verify
from level4_deployment.serving.routes import MODELS, Package
from shared.errors import UserError

MANIFEST = "package"  # the version's tag: SHA-256 of each file, in the registry's database, apart from the files
ARTEFACTS = "serving"  # the folder of the version's run that holds the files


class NotPublishedError(UserError):
    """A version that has no package, or not the one on record."""


def publish(client: MlflowClient, version: registry.Version) -> Package:
    """Convert a registered version for serving and record it; given again, it finds what is there.

    The model is loaded from a file whose digest is the registered one, and builds trusted types only.
    """
    if MANIFEST in version.tags:
        return package_of(version)
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / ARTEFACTS
        made.mkdir()
        files = convert(*load(registry.fetch(client, version, Path(folder))), made)
        client.log_artifacts(version.run_id, str(made), ARTEFACTS)
    client.set_model_version_tag(registry.MODEL, str(version.number), MANIFEST, json.dumps(files))
    return Package(version.number, files)


def package_of(version: registry.Version) -> Package:
    """The package that the registry has on record; raises NotPublishedError."""
    if MANIFEST not in version.tags:
        raise NotPublishedError(
            f"version {version.number} is registered, but was never packaged for serving. "
            f"Remedy: make submit VERSION={version.number}."
        )
    return Package(version.number, json.loads(version.tags[MANIFEST]))


def pull(version: registry.Version, home: Path) -> Package:
    """Make sure that a verified copy of the version's package is in `home`; raises UserError when it cannot be had."""
    package = package_of(version)
    kept = home / MODELS / package.digest
    if kept.exists():
        try:
            verify(kept, package.files)
        except UserError:  # damaged here: the registry may still have it whole
            shutil.rmtree(kept)
        else:
            return package
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
        uri = f"runs:/{version.run_id}/{ARTEFACTS}"
        got = Path(mlflow.artifacts.download_artifacts(uri, dst_path=folder))
        for name, recorded in package.files.items():
            found = lineage.file_digest(got / name) if (got / name).exists() else "none, for it is gone"
            if found != recorded:
                raise NotPublishedError(
                    f"version {version.number}: {name} in the registry is not the one on record: SHA-256 {found[:16]}, "
                    f"on record {recorded[:16]}. Remedy: train anew; a file that was touched is never served."
                )
        try:
            got.replace(kept)
        except OSError:
            if not kept.exists():
                raise
            verify(kept, package.files)  # another process, which shares the folder, was first
    return package
