"""`make ui`: the pages of MLflow and Prefect on free ports, until Ctrl-C."""

from contextlib import ExitStack, suppress
from math import inf

from level3_training_pipeline.orchestration.prefect_server import START_LIMIT, ServerError, prefect_server
from shared.console import console, step
from shared.loopback import answers, free_port
from shared.processes.children import running
from shared.settings import Settings
from shared.waiting import wait_until


def mlflow_pages(port: int, store: str) -> list[str]:
    """The module that serves MLflow's pages on loopback, for its own pages only, with its words."""
    words = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1", "--backend-store-uri", store]
    callers = [
        *("--allowed-hosts", f"127.0.0.1:{port},localhost:{port}"),
        *("--cors-allowed-origins", f"http://127.0.0.1:{port}"),
    ]
    return ["mlflow", "server", *words, *callers]


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
        mlflow = opened.enter_context(running(mlflow_pages(port, tracking_uri(settings)), log))
        address = f"http://127.0.0.1:{port}"
        try:
            with step("Start the pages"):
                server.wait()
                health = f"{address}/health"
                with suppress(TimeoutError):
                    wait_until(lambda: answers(health) or mlflow.poll() is not None, START_LIMIT, pause=0.2)
            if answers(health):
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
