"""`make ui`: the pages of MLflow and Prefect on free ports, until Ctrl-C."""

import os
from contextlib import AbstractContextManager, ExitStack
from math import inf
from pathlib import Path

from level3_training_pipeline.orchestration.prefect_server import START_LIMIT, ServerError, prefect_server
from shared.console import console, step
from shared.processes.children import Process, running
from shared.settings import Settings
from shared.waiting import comes_up, free_port, wait_until


def mlflow_pages(port: int, store: str, log: Path) -> AbstractContextManager[Process]:
    """MLflow's pages on loopback, for its own pages only, while the block runs.

    It is what `mlflow server` starts, which then waits beside it in 180 MB. Its names of settings are MLflow's own.
    """
    settings = {
        "_MLFLOW_SERVER_FILE_STORE": store,
        "_MLFLOW_SERVER_REGISTRY_STORE": store,
        "_MLFLOW_SGI_NAME": "uvicorn",
        "MLFLOW_SERVER_ALLOWED_HOSTS": f"127.0.0.1:{port},localhost:{port}",
        "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": f"http://127.0.0.1:{port}",
    }
    words = ["uvicorn", "--host", "127.0.0.1", "--port", str(port), "mlflow.server.fastapi_app:app"]
    return running(words, log, os.environ | settings)


def serve_pages(settings: Settings) -> None:
    """Start both servers, print their addresses, and end both with this process."""
    with prefect_server(settings) as server:
        with step("Load MLflow"):
            from level3_training_pipeline.tracking.mlflow_runs import open_tracking, page_of_runs, tracking_uri
            from level3_training_pipeline.tracking.registry import MODEL

            client = open_tracking(settings)
        port = free_port()
        log = settings.level("level3") / "mlflow-pages.log"
        opened = ExitStack()
        mlflow = opened.enter_context(mlflow_pages(port, tracking_uri(settings), log))
        address = f"http://127.0.0.1:{port}"
        try:
            with step("Start the pages"):
                server.wait()
                is_up = comes_up(f"{address}/health", START_LIMIT, lambda: mlflow.poll() is not None)
            if is_up:
                console.print(f"MLflow   {page_of_runs(address)}")
                if client.search_registered_models():  # without a version, its page is an error
                    console.print(f"         {address}/#/models/{MODEL}")
                console.print(f"Prefect  {server.address}/runs\nEnd with Ctrl-C.")
                wait_until(lambda: mlflow.poll() is not None, inf, pause=0.5)  # on Windows, wait() ignores Ctrl-C
            ended = "do not answer" if mlflow.returncode is None else f"ended with status {mlflow.returncode}"
            raise ServerError(f"MLflow's pages {ended} at {address}. Remedy: see {log}.")
        finally:
            with step("End the pages"):
                opened.close()
