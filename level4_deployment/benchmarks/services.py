"""The services that the benchmark compares: processes of their own on ports of loopback, all with the same model."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import psutil

from level2_devops.features import features
from level2_devops.model import ModelCard, save
from level2_devops.service.worker_process import open_socket
from level4_deployment.delivery.packaging import convert
from level4_deployment.prediction_log import url_of
from level4_deployment.replay_client import as_requests
from level4_deployment.serving.routes import MODELS, Package, Routes, Split, write_routes
from level4_deployment.serving.worker import start_workers
from shared.errors import UserError
from shared.settings import Settings

UP_WITHIN = 90.0  # seconds
BARE, MLFLOW = "bare FastAPI", "mlflow serve"
ALONE, ALL, TWO = "level 4 alone", "level 4", "level 4, two"  # champion only; with a challenger in shadow; two workers


@dataclass(frozen=True)
class Service:
    """A running service, what it is asked, and its process or processes."""

    name: str
    port: int
    path: str
    bodies: list[Any]
    pids: list[int]

    def megabytes(self) -> float:
        """The memory of its processes, and of those that they have started."""
        roots = [psutil.Process(pid) for pid in self.pids]
        every = {one for root in roots for one in (root, *root.children(recursive=True))}
        return sum(one.memory_info().rss for one in every) / 2**20


class Bench:
    """Starts services with one model, one after the other; their files are in `folder`."""

    def __init__(self, model: Any, card: ModelCard, flights: pd.DataFrame, folder: Path, stack: ExitStack) -> None:
        self.model, self.card, self.flights, self.folder, self.stack = model, card, flights, folder, stack
        self.named = as_requests(flights)

    def bare(self) -> Service:
        """FastAPI and nothing else."""
        words = ["uvicorn", "--factory", "level4_deployment.benchmarks.bare_fastapi:create_app", "--no-access-log"]
        return self._start(BARE, "/predict", self.named, "/docs", [*words, "--no-proxy-headers"])

    def level2(self) -> Service:
        """The plain service of level 2; its requests carry no name of the flight."""
        save(self.model, self.card, self.folder / "model")
        words = ["level2_devops.service", "--version", "bench", "--model", str(self.folder / "model")]
        bodies = [{name: value for name, value in one.items() if name != "flight_id"} for one in self.named]
        return self._start("level 2", "/predict", bodies, "/ready", words)

    def level4(self, name: str, *, shadow: bool, workers: int = 1) -> Service:
        """The platform's workers; with `shadow`, a challenger scores every flight as well."""
        home = self.folder / name.replace(" ", "-")
        made = home / MODELS / "made"
        made.mkdir(parents=True)
        champion = Package(1, convert(self.model, self.card, made))
        made.rename(home / MODELS / champion.digest)
        experiment = (Package(2, champion.files), Split("bench", "salt", 0.0)) if shadow else ()
        write_routes(home, Routes(1, champion, *experiment))
        listening = self.stack.enter_context(open_socket())
        running = start_workers(home, listening, workers, url_of(home))
        for worker in running:
            self.stack.callback(worker.stop)
        for worker in running:
            worker.wait_ready()
        return Service(name, listening.getsockname()[1], "/predict", self.named, [one.pid for one in running])

    def mlflow(self, settings: Settings) -> Service:
        """`mlflow models serve`, with the model as level 3 saves it; the caller makes the features."""
        import mlflow

        from level3_training_pipeline.tracking import mlflow_runs, registry

        mlflow_runs.open_tracking(replace(settings, state=self.folder))
        table = features(self.flights)
        with mlflow_runs.tracked("bench", {}):
            uri = registry.log_model(self.model, self.card, table.head(3))
        kept = mlflow.artifacts.download_artifacts(uri)
        words = ["mlflow", "models", "serve", "-m", kept, "--env-manager", "local", "--workers", "1"]
        rows = table.astype(object).where(table.notna(), None).to_dict("records")
        return self._start(MLFLOW, "/invocations", [{"dataframe_records": [row]} for row in rows], "/ping", words)

    def _start(self, name: str, path: str, bodies: list[Any], ready: str, words: list[str]) -> Service:
        """Start a Python module as a server, and wait until it answers."""
        with open_socket() as free:
            port = free.getsockname()[1]
        search = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # MLflow calls uvicorn by name
        file = self.folder / f"{words[0]}.log"
        output = self.stack.enter_context(file.open("wb"))
        process = subprocess.Popen(
            [sys.executable, "-m", *words, "--port", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=os.environ | {"OMP_NUM_THREADS": "1", "PATH": search},
        )
        self.stack.callback(_end, process)
        until = time.monotonic() + UP_WITHIN
        while not _answers(f"http://127.0.0.1:{port}{ready}"):
            if process.poll() is not None or time.monotonic() > until:
                raise UserError(f"{name} does not come up. Remedy: run it by hand and see what it says; {_tail(file)}")
            time.sleep(0.1)
        return Service(name, port, path, bodies, [process.pid])


@contextmanager
def bench(model: Any, card: ModelCard, flights: pd.DataFrame, folder: Path) -> Iterator[Bench]:
    """Whatever is started within the block is ended with it."""
    with ExitStack() as stack:
        yield Bench(model, card, flights, folder, stack)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a server and what it has started: MLflow's starts another, and does not end it."""
    children = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    process.terminate()
    for child in children:
        if child.is_running():
            child.terminate()
    process.wait(30)


def _answers(address: str) -> bool:
    try:
        return httpx.get(address, timeout=2, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def _tail(file: Path) -> str:
    return file.read_text(errors="replace")[-300:]
