"""Run a flow on a Prefect server, from a plain Python program."""

from typing import Any

from prefect import Flow
from prefect.logging.handlers import APILogHandler
from prefect.settings import PREFECT_API_URL, PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

from level3_training_pipeline.orchestration.prefect_server import PrefectServer
from level3_training_pipeline.pipeline.flow import TRIALS, training


def run_training(server: PrefectServer, today: str, trials: int = TRIALS, cause: str = "by hand") -> int:
    """Train as of `today` (YYYY-MM-DD) and return the version's number."""
    return int(run_flow(server, training, today, trials, cause))


def run_flow(server: PrefectServer, flow: "Flow[..., Any]", *arguments: Any) -> Any:
    """Call a flow on the server, and return what it returns.

    The flow's heartbeat is off, because with it every flow takes until the next whole second.
    """
    server.wait()
    with temporary_settings({PREFECT_API_URL: server.api, PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        try:
            return flow(*arguments)
        finally:
            APILogHandler().flush()  # send the last lines while the server is up
