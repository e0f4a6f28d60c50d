"""The loop as Prefect flows: the nightly run of all days that are due."""

from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock
from prefect import flow

from level4_deployment.control.client import PlatformClient
from level5_monitoring import config
from level5_monitoring.loop import freshness
from level5_monitoring.loop.controller import LoopController
from level5_monitoring.loop.policy import Decision
from level5_monitoring.monitors.reference import load_reference
from shared.processes.children import end_with_server
from shared.settings import read_settings


def catch_up(loop: LoopController) -> Iterator[Decision]:
    """Run every closed day that is due, one process at a time; waiting alerts are delivered first."""
    with FileLock(config.own(loop.settings) / "turns.lock"):  # released when the process is killed
        freshness.check_freshness(loop.log)
        loop.deliver_alerts()
        for day in loop.poll():
            yield loop.run_day(day)


@flow(
    name="turns",
    flow_run_name="turns: {cause}",
    description="Monitor every closed day that has no decision yet, decide, and act.",
    retries=2,  # a run that was interrupted continues where it was
    retry_delay_seconds=1,
)
def turns(cause: str = "by hand") -> int:  # noqa: ARG001 - part of the run's name
    """Catch up; returns how many days the last attempt ran."""
    end_with_server()
    with open_loop() as loop:
        return len(list(catch_up(loop)))


@contextmanager
def open_loop() -> Iterator[LoopController]:
    """The loop over this level's platform, which must run."""
    settings = read_settings()
    reference = load_reference(config.own(settings))
    with config.open_log(settings) as log, PlatformClient.at(config.platform(settings), "loop") as control:
        yield LoopController(settings, reference, log, control)
