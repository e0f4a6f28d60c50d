"""The environment of our processes: variables that a user has set for other projects have no effect here.

Libraries such as MLflow read hundreds of variables. One that is meant for another project would lead this one's models
into that project's registry, or stop it with a traceback. So every command begins with `begin`, which removes them by
family; what a level needs is set afterwards (`library_setup`, `jupyter_environment`). This module needs nothing but
Python, because it runs before any library is imported.
"""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

PROJECT = str(Path(__file__).resolve().parent.parent)
FOREIGN = re.compile(
    "_?("
    "PYDEV|PYTEST_|HYPOTHESIS_|SCHEMATHESIS_|VIRTUAL_ENV|CONDA_|GIT_"  # Python, tests, and the code's version
    "|I?PYTHON|IPYKERNEL_|JUPYTER|JPY_|JP_|JLAB_|KERNEL_|DEBUGPY_|NBFORMAT_|TRAITLETS_|MPL|MATPLOTLIB"  # notebooks
    "|NUMPY_|NPY_|SCIPY_|PANDAS_|PANDERA_|PYARROW_|ARROW_|SKLEARN_|JOBLIB_|LOKY_|ORT_|ONNX"  # data and models
    "|FASTAPI_|PYDANTIC_|UVICORN_|GUNICORN_|WEB_CONCURRENCY|FORWARDED_ALLOW_IPS|WEBSOCKETS_|FLASK_|WERKZEUG_|LITESTAR_"
    "|PROMETHEUS_|OTEL_|SQLALCHEMY_|ALEMBIC_|PSYCOPG_|OPTUNA_|MLFLOW_|DATABRICKS_|SPARK_|PYSPARK_|FSSPEC_"
    r"|PREFECT_|DOCKET_|APPRISE_|COOLNAME_|EVIDENTLY_|\w+_FOR_DYNACONF"
    ")",
    re.IGNORECASE,  # as Prefect reads them
)
HARMLESS = {"PYTHONUTF8", "PYTHONIOENCODING", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "PYTHONFAULTHANDLER"}
LOOPBACK = ("127.0.0.1", "localhost")


def cleaned(variables: Mapping[str, str]) -> dict[str, str]:
    """The variables without foreign ones, and with no proxy for addresses of this machine.

    A proxy for other addresses stays, which a webhook may need; one that speaks SOCKS goes, because no library here can
    use it, and httpx would refuse to start.
    """
    kept = {name: value for name, value in variables.items() if name in HARMLESS or not FOREIGN.match(name)}
    if PROJECT in variables.get("PYTHONPATH", "").split(os.pathsep):  # as a notebook's kernel has it
        kept["PYTHONPATH"] = PROJECT
    socks = [name for name in kept if name.upper().endswith("_PROXY") and kept[name].lower().startswith("socks")]
    for name in socks:
        del kept[name]
    direct = [part.strip() for name in ("no_proxy", "NO_PROXY") for part in kept.get(name, "").split(",")]
    if "*" not in direct:
        kept["no_proxy"] = kept["NO_PROXY"] = ",".join(dict.fromkeys(filter(None, [*direct, *LOOPBACK])))
    return kept


def clean_environment() -> None:
    """Clean the environment of this process, and so of those that it will start."""
    kept = cleaned(os.environ)
    for name in set(os.environ) - set(kept):
        del os.environ[name]
    os.environ.update(kept)


def begin() -> None:
    """The first act of every command. Where Python itself has obeyed foreign settings, it starts anew without them."""
    before = {name: value for name, value in os.environ.items() if name.startswith("PYTHON")}
    clean_environment()
    if any(os.environ.get(name) != value for name, value in before.items()):
        words = [sys.executable, *sys.orig_argv[1:]]
        if os.name == "nt":  # where the shell would not wait for a program that replaces this one
            sys.exit(subprocess.call(words))
        os.execv(sys.executable, words)  # noqa: S606 - no shell is needed
