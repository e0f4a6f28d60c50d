"""The registry as the control plane uses it: with short time-outs, so that a slow registry never delays a request."""

import json
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import mlflow
import sqlalchemy as sa
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from level3_training_pipeline.tracking import lineage, mlflow_runs, registry
from level3_training_pipeline.tracking.registry import Version
from level4_deployment.serving.package import PackageError, read_verified
from level4_deployment.serving.routes import MODELS, ROUTES, Package
from shared.errors import UserError
from shared.files import short_digest
from shared.settings import Settings

REGISTRY_TIMEOUT = 0.5  # seconds to wait for another process that writes to the registry
MANIFEST, GATES = "package", "gates"  # tags of a version: SHA-256 of each file of its package; what the gates found
FEATURES = "features"  # and a digest of each feature, by the code that the version was packaged with
ARTEFACTS = "serving"  # the folder of the version's run that holds the package's files


class UnavailableError(UserError):
    """The registry cannot be used at present; the same call may succeed later."""


@contextmanager
def _available() -> Iterator[None]:
    try:
        yield
    except (MlflowException, sa.exc.SQLAlchemyError) as error:
        raise UnavailableError(
            f"the registry cannot be used: {error}. Remedy: bring it back; it is retried."
        ) from error


class ModelRegistry:
    """MLflow's registry, as far as the control plane needs it; tests replace it by one in memory.

    home: the platform's folder, which packages are pulled into. Each method raises UnavailableError while the registry
    cannot be used.
    """

    def __init__(self, open_client: Callable[[], MlflowClient], home: Path) -> None:
        self.open_client, self.home = open_client, home

    @cached_property
    def client(self) -> MlflowClient:
        """Opened at the first use: the registry may be away when the platform starts."""
        return self.open_client()

    @_available()
    def champion(self) -> Version | None:
        """The version that the alias champion names, if there is one."""
        return registry.by_alias(self.client, registry.CHAMPION)

    @_available()
    def version(self, number: int) -> Version:
        """The version with this number; raises RegistryError."""
        return registry.get(self.client, str(number))

    @_available()
    def set_alias(self, alias: str, number: int) -> None:
        """Let an alias name this version."""
        self.client.set_registered_model_alias(registry.MODEL, alias, str(number))

    @_available()
    def delete_alias(self, alias: str) -> None:
        """Remove an alias, if it is there."""
        self.client.delete_registered_model_alias(registry.MODEL, alias)

    @_available()
    def pull(self, version: Version) -> Package:
        """The version's package, with verified files in the platform's folder; raises PackageError."""
        return pull(version, self.home)


def open_client(settings: Settings, home: Path) -> MlflowClient:
    """The registry's client, with a short time-out; raises UnavailableError.

    A registry is made only for a platform that has never served: where one is gone, MLflow would make an empty one.
    """
    file = settings.level("level3") / "mlflow.db"
    if not (home / ROUTES).exists() and not file.exists():
        mlflow_runs.open_tracking(settings)
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=REGISTRY_TIMEOUT)) as database:
            database.execute("SELECT version_num FROM alembic_version")
    except sqlite3.Error as error:
        raise UnavailableError(
            f"the registry {file} cannot be read: {error}. Remedy: bring it back; it is retried."
        ) from error
    uri = mlflow_runs.tracking_uri(settings).replace("timeout=60", f"timeout={REGISTRY_TIMEOUT}")
    if not sa.event.contains(sa.Engine, "before_cursor_execute", _keep_time_out):
        sa.event.listen(sa.Engine, "before_cursor_execute", _keep_time_out, retval=True)
    mlflow.set_tracking_uri(uri)
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def _keep_time_out(
    connection: sa.Connection, _cursor: object, statement: str, parameters: Any, _context: object, _many: object
) -> tuple[str, Any]:
    """MLflow begins each session with a time-out of 20 s; use the one of the database's address instead."""
    timeout = connection.engine.url.query.get("timeout")
    if timeout and statement.startswith("PRAGMA busy_timeout"):
        statement = f"PRAGMA busy_timeout = {float(str(timeout)) * 1000:.0f}"
    return statement, parameters


def not_passed(version: Version) -> str:
    """Why the gates do not let the version through, on record; "" for one that has passed all of them."""
    found = json.loads(version.tags.get(GATES, "{}"))
    failed = [name for name, gate in found.items() if not gate["passed"]]
    if failed:
        return f"was refused by the gate {' and '.join(failed)}"
    return "" if found else "was never at the gates"


def package_of(version: Version) -> Package:
    """The package that the registry has on record; raises PackageError."""
    if MANIFEST not in version.tags:
        raise PackageError(
            f"version {version.number} is registered, but was never packaged for serving. "
            f"Remedy: make submit VERSION={version.number}."
        )
    return Package(version.number, json.loads(version.tags[MANIFEST]))


def pull(version: Version, home: Path) -> Package:
    """Make sure that `home` has a verified copy of the version's package; raises PackageError."""
    package = package_of(version)
    kept = home / MODELS / package.digest
    if kept.exists():
        try:
            read_verified(kept, package.files)
        except UserError:  # this copy is damaged; the registry's may be whole
            shutil.rmtree(kept)
        else:
            return package
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
        uri = f"runs:/{version.run_id}/{ARTEFACTS}"
        got = Path(mlflow.artifacts.download_artifacts(uri, dst_path=folder))
        for name, recorded in package.files.items():
            found = lineage.file_digest(got / name) if (got / name).exists() else "none, the file is missing"
            if found != recorded:
                raise PackageError(
                    f"version {version.number}: {name} in the registry is not the one on record: SHA-256 "
                    f"{short_digest(found)}, on record {short_digest(recorded)}. "
                    "Remedy: train another version; an altered file is never served."
                )
        try:
            got.replace(kept)
        except OSError:
            if not kept.exists():
                raise
            read_verified(kept, package.files)  # another process that shares the folder was first
    return package
