"""`make ui`: MLflow's and Prefect's pages on free ports, until Ctrl-C."""

import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

from level3_training_pipeline.library_setup import set_up_libraries
from level3_training_pipeline.orchestration.prefect_server import START_LIMIT, ServerError, free_port, prefect_server
from shared.console import console, step
from shared.errors import command
from shared.settings import read_settings


def main() -> None:
    """Start both, print their addresses, end both."""
    settings = read_settings()
    set_up_libraries(settings)
    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, lambda *_: sys.exit(0))  # at any moment; what was started is ended on the way out
    with prefect_server(settings) as server:
        with step("Load MLflow"):
            from level3_training_pipeline.tracking.mlflow_runs import open_tracking, tracking_uri

            open_tracking(settings)
        port = free_port()
        pages = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
        log = settings.level("level3") / "mlflow-pages.log"
        with log.open("ab") as output:
            mlflow = subprocess.Popen(
                [*pages, "--backend-store-uri", tracking_uri(settings)],
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
            )
        try:
            with step("Start the pages"):
                server.wait()
                until = time.monotonic() + START_LIMIT
                while not _answers(f"http://127.0.0.1:{port}/health"):
                    if mlflow.poll() is not None:
                        raise ServerError(f"MLflow's pages ended with status {mlflow.returncode}. Remedy: see {log}.")
                    if time.monotonic() > until:
                        raise ServerError(f"MLflow's pages do not answer after {START_LIMIT} s. Remedy: see {log}.")
                    time.sleep(0.2)
            console.print(f"MLflow   http://127.0.0.1:{port}\nPrefect  {server.address}\nEnd with Ctrl-C.")
            while mlflow.poll() is None:
                time.sleep(0.5)
            raise ServerError(f"MLflow's pages ended with status {mlflow.returncode}. Remedy: see {log}.")
        finally:
            with step("End the pages"):
                mlflow.terminate()
                mlflow.wait(timeout=60)  # on a busy machine 15 were too few


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


if __name__ == "__main__":
    command(main)
