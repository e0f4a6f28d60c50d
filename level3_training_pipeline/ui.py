"""`make ui`: the pages of MLflow and Prefect on free ports, until Ctrl-C."""

from contextlib import ExitStack, suppress
from math import inf

from level3_training_pipeline.orchestration.prefect_server import START_LIMIT, ServerError, prefect_server
from shared.children import running
from shared.console import console, step
from shared.loopback import answers, free_port
from shared.settings import Settings
from shared.waiting import wait_until


def serve_pages(settings: Settings) -> None:
    """Start both servers, print their addresses, and end both with this process."""
    with prefect_server(settings) as server:
        with step("Load MLflow"):
            from level3_training_pipeline.tracking.mlflow_runs import open_tracking, tracking_uri

            open_tracking(settings)
        port = free_port()
        pages = ["mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
        log = settings.level("level3") / "mlflow-pages.log"
        opened = ExitStack()
        mlflow = opened.enter_context(running([*pages, "--backend-store-uri", tracking_uri(settings)], log))
        address = f"http://127.0.0.1:{port}"
        try:
            with step("Start the pages"):
                server.wait()
                health = f"{address}/health"
                with suppress(TimeoutError):
                    wait_until(lambda: answers(health) or mlflow.poll() is not None, START_LIMIT, pause=0.2)
            if answers(health):
                console.print(f"MLflow   {address}\nPrefect  {server.address}\nEnd with Ctrl-C.")
                wait_until(lambda: mlflow.poll() is not None, inf, pause=0.5)  # on Windows, wait() ignores Ctrl-C
            ended = "do not answer" if mlflow.returncode is None else f"ended with status {mlflow.returncode}"
            raise ServerError(f"MLflow's pages {ended} at {address}. Remedy: see {log}.")
        finally:
            with step("End the pages"):
                opened.close()
