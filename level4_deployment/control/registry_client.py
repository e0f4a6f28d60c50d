"""The registry beside users' requests: it may be down, locked or slow, and nobody waits for it."""

import sqlite3
from contextlib import closing
from typing import Any

import mlflow
import sqlalchemy as sa
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from level3_training_pipeline.tracking import mlflow_runs
from shared.errors import UserError
from shared.settings import Settings

REGISTRY_TIMEOUT = 0.5  # seconds that what runs beside users' requests waits for another who writes to the registry
UNAVAILABLE = (MlflowException, sa.exc.SQLAlchemyError, UserError, OSError)  # registry, log, or a package, at present


class UnavailableError(UserError):
    """The registry is away, at present."""


def registry_client(settings: Settings) -> MlflowClient:
    """The client of the registry that is there, with little patience; raises UnavailableError.

    Of one that cannot be read, MLflow itself would make an empty one, or try again for minutes.
    """
    file = settings.level("level3") / "mlflow.db"
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=REGISTRY_TIMEOUT)) as database:
            database.execute("SELECT version_num FROM alembic_version")
    except sqlite3.Error as error:
        raise UnavailableError(
            f"the registry {file} cannot be read: {error}. Remedy: bring it back; it is tried again."
        ) from error
    uri = mlflow_runs.tracking_uri(settings).replace("timeout=60", f"timeout={REGISTRY_TIMEOUT}")
    if not sa.event.contains(sa.Engine, "before_cursor_execute", _as_patient_as_asked):
        sa.event.listen(sa.Engine, "before_cursor_execute", _as_patient_as_asked, retval=True)
    mlflow.set_tracking_uri(uri)
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def _as_patient_as_asked(
    connection: sa.Connection, _cursor: object, statement: str, parameters: Any, _context: object, _many: object
) -> tuple[str, Any]:
    """MLflow begins each session with 20 s of patience: the timeout in the database's address holds instead."""
    asked = connection.engine.url.query.get("timeout")
    if asked and statement.startswith("PRAGMA busy_timeout"):
        statement = f"PRAGMA busy_timeout = {float(str(asked)) * 1000:.0f}"
    return statement, parameters
