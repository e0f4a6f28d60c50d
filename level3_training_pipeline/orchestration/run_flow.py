"""Run a flow on a Prefect server, from a plain Python program."""

from typing import Any

from prefect import Flow, tags
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.logging.handlers import APILogHandler
from prefect.settings import PREFECT_API_URL, PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
from prefect.states import Crashed

from level3_training_pipeline.orchestration.prefect_server import PrefectServer
from level3_training_pipeline.pipeline.flow import TRIALS, training
from shared.processes.process_identity import still_runs, this_process

NEWEST = 200  # runs that are looked at, as many as the server returns at once
PROCESS = "process "  # a run's tag: the identity of its process follows


def run_training(
    server: PrefectServer, today: str, trials: int = TRIALS, cause: str = "by hand", *, again: bool = False
) -> int:
    """Train as of `today` (YYYY-MM-DD) and return the version's number; again: also where nothing has changed."""
    return int(run_flow(server, training, today, trials, cause, (), False, again))  # noqa: FBT003


def run_flow(server: PrefectServer, flow: "Flow[..., Any]", *arguments: Any) -> Any:
    """Call a flow on the server, and return what it returns; runs whose process is gone are Crashed from now on.

    The flow's heartbeat is off, because with it every flow takes until the next whole second.
    """
    server.wait()
    with temporary_settings({PREFECT_API_URL: server.api, PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        close_crashed_runs()
        try:
            with tags(PROCESS + this_process()):
                return flow(*arguments)
        finally:
            APILogHandler().flush()  # send the last lines while the server is up


def close_crashed_runs() -> None:
    """Mark each run of `run_flow` that was killed as Crashed, since Prefect itself does not see that it has ended."""
    running = FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.RUNNING]))
    with get_client(sync_client=True) as prefect:
        for run in prefect.read_flow_runs(
            flow_run_filter=FlowRunFilter(state=running), sort=FlowRunSort.START_TIME_DESC, limit=NEWEST
        ):
            processes = [tag.removeprefix(PROCESS) for tag in run.tags if tag.startswith(PROCESS)]
            if processes and not any(map(still_runs, processes)):
                prefect.set_flow_run_state(run.id, Crashed(message="Its process is gone."), force=True)
