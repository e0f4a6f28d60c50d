"""A PostgreSQL server of the tests' own, on loopback."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import sqlalchemy as sa

from tests.support import without

DEBIANS = Path("/usr/lib/postgresql")  # where Debian keeps initdb and pg_ctl: a folder for each version, none on PATH


@contextmanager
def postgres() -> Iterator[str]:
    """The URL of a fresh, empty database; the test is skipped, with the reason, where there is no server to run."""
    initdb, pg_ctl = (find(name) for name in ("initdb", "pg_ctl"))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="postgres-", dir="/tmp"))
    data = str(folder / "data")
    try:
        _run(folder, initdb, "-D", data, "-U", "postgres", "--auth=trust")
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}"
        _run(folder, pg_ctl, "-D", data, "-w", "-l", str(folder / "log"), "-o", options, "start")
        try:
            yield f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres"
        finally:
            _run(folder, pg_ctl, "-D", data, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)


def new_database(server: str) -> str:
    """The URL of another empty database of the server."""
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    name = f"of_{uuid4().hex}"
    with engine.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return f"{server.rpartition('/')[0]}/{name}"


def find(name: str) -> str:
    """Where the command is: on PATH, or where Debian keeps it, the newest version's."""
    debians = sorted(DEBIANS.glob(f"*/bin/{name}"), key=lambda file: float(file.parts[-3]))
    return shutil.which(name) or (str(debians[-1]) if debians else without(f"no {name} on PATH or in {DEBIANS}"))


def _run(folder: Path, *words: str) -> None:
    """Run a command in the folder; root becomes nobody, for the server refuses to be run by root."""
    as_user: list[str] = []
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            without("run by root, and there is no setpriv to run the server as nobody")
        as_user = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
        shutil.chown(folder, "nobody", "nogroup")
    subprocess.run([*as_user, *words], cwd=folder, check=True, stdout=subprocess.DEVNULL)
