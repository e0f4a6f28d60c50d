"""The services that the benchmark compares: processes of their own on ports of loopback, all with the same model."""

import os
import sys
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import psutil

from level2_devops.features import features
from level2_devops.model import ModelCard, save
from level2_devops.service.worker_process import open_socket
from level4_deployment.delivery.packaging import convert
from level4_deployment.prediction_log import url_of
from level4_deployment.replay_client import as_requests
from level4_deployment.serving.routes import MODELS, Package, Routes, Split, write_routes
from level4_deployment.serving.worker import start_worker, stop_workers
from shared.errors import UserError
from shared.processes.children import start, stop
from shared.settings import Settings
from shared.waiting import answers, free_port, wait_until

UP_WITHIN = 120.0  # seconds
BARE, MLFLOW = "bare FastAPI", "mlflow serve"
CHAMPION_ONLY, WITH_SHADOW, TWO_WORKERS = "level 4 alone", "level 4", "level 4, two"  # both others with a challenger


@dataclass(frozen=True)
class Service:
    """A running service, the requests that it accepts, and its processes."""

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


class ServiceStarter:
    """Starts services that serve one model; their files are in `folder`, and `stack` ends them."""

    def __init__(self, model: Any, card: ModelCard, flights: pd.DataFrame, folder: Path, stack: ExitStack) -> None:
        self.model, self.card, self.flights, self.folder, self.stack = model, card, flights, folder, stack
        self.bodies = as_requests(flights)

    def bare(self) -> Service:
        """FastAPI without a model."""
        words = ["uvicorn", "--factory", "level4_deployment.benchmarks.bare_fastapi:create_app", "--no-access-log"]
        return self._start(BARE, "/predict", self.bodies, "/docs", [*words, "--no-proxy-headers"])

    def level2(self) -> Service:
        """The service of level 2, whose requests have no flight_id."""
        save(self.model, self.card, self.folder / "model")
        words = ["level2_devops.service", "--version", "bench", "--model", str(self.folder / "model")]
        bodies = [{name: value for name, value in one.items() if name != "flight_id"} for one in self.bodies]
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
        running = [start_worker(home, listening, url_of(home)) for _ in range(workers)]
        self.stack.callback(stop_workers, running)
        for worker in running:
            worker.wait_ready()
        return Service(name, listening.getsockname()[1], "/predict", self.bodies, [one.pid for one in running])

    def mlflow(self, settings: Settings) -> Service:
        """`mlflow models serve`, with the model as level 3 logs it; its clients compute the features."""
        import mlflow

        from level3_training_pipeline.tracking import mlflow_runs, registry

        mlflow_runs.open_tracking(replace(settings, state=self.folder))
        table = features(self.flights)
        with mlflow_runs.tracked("bench", "The model that is served.", {}):
            uri = registry.log_model(self.model, self.card, table.head(3))
        model = mlflow.artifacts.download_artifacts(uri)
        words = ["mlflow", "models", "serve", "-m", model, "--env-manager", "local", "--workers", "1"]
        rows = table.astype(object).where(table.notna(), None).to_dict("records")
        return self._start(MLFLOW, "/invocations", [{"dataframe_records": [row]} for row in rows], "/ping", words)

    def _start(self, name: str, path: str, bodies: list[Any], ready: str, words: list[str]) -> Service:
        """Start a Python module as a server, and wait until it answers."""
        port = free_port()
        search = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # MLflow calls uvicorn by name
        log = self.folder / f"{words[0]}.log"
        own = {"OMP_NUM_THREADS": "1", "PATH": search}
        process = start([*words, "--port", str(port)], log, os.environ | own)
        self.stack.callback(stop, [process])
        address = f"http://127.0.0.1:{port}{ready}"
        with suppress(TimeoutError):  # reported below, like the end of the process
            wait_until(lambda: process.poll() is not None or answers(address), UP_WITHIN, pause=0.25)
        if not answers(address):
            end = log.read_text(errors="replace")[-300:]
            raise UserError(f"{name} does not start: {end!r}. Remedy: run python -m {' '.join(words)} by hand.")
        return Service(name, port, path, bodies, [process.pid])
