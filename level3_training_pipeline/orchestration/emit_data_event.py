"""`make data-arrives MONTH=2013-04`: tell the pipeline that a month of data is complete."""

import os
import sys
from datetime import date

import pandas as pd

from level3_training_pipeline.library_setup import set_up_libraries
from level3_training_pipeline.orchestration.prefect_server import PrefectServer, running_server
from level3_training_pipeline.orchestration.schedule import DEPLOYMENT, MONTH_ARRIVED
from shared.console import console, step
from shared.errors import UserError, command
from shared.settings import FIRST_TODAY, LAST_TODAY, Settings, read_settings

NOBODY = "nothing listens: start the pipeline in another terminal first, with make schedule"


def arrive(month: str, settings: Settings) -> str:
    """Emit the event; returns the day (YYYY-MM-DD) as of which the training that it starts will train."""
    try:
        first = date.fromisoformat(f"{month}-01")  # which takes YYYY-MM only
    except ValueError as error:
        raise UserError(f"MONTH={month!r} is no month; write it as YYYY-MM, for example MONTH=2013-04") from error
    after = (pd.Timestamp(first) + pd.offsets.MonthBegin()).date()
    if not FIRST_TODAY <= after <= LAST_TODAY:
        raise UserError(
            f"MONTH={month} is followed by {after}; a training can be as of {FIRST_TODAY} to {LAST_TODAY}: the data "
            "are of 2013, and two months are needed to learn from. Remedy: a month from 2013-02 to 2013-12."
        )
    today = str(after)
    server = running_server(settings)
    if server is None or not server.healthy():
        raise UserError(NOBODY)
    os.environ["PREFECT_API_URL"] = server.api  # before Prefect is imported: its sender of events reads it once
    from prefect.events import emit_event

    if not _listens(server):
        raise UserError(NOBODY)
    emit_event(
        MONTH_ARRIVED,
        resource={"prefect.resource.id": "flights"},
        payload={"month": month, "today": today, "cause": f"data of {month} arrived"},
    )
    return today


def _listens(server: PrefectServer) -> bool:
    """Whether `make schedule` runs: any command can have the server up, and an event to nobody would be lost."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.objects import DeploymentStatus
    from prefect.exceptions import ObjectNotFound
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: server.api}), get_client(sync_client=True) as prefect:
        try:
            found = prefect.read_deployment_by_name(DEPLOYMENT)
        except ObjectNotFound:
            return False
    return found.status == DeploymentStatus.READY and not found.paused  # a schedule that is ended leaves it paused


def main() -> None:
    """Read the month from the command line."""
    settings = read_settings()
    set_up_libraries(settings)
    if len(sys.argv) != 2:
        raise UserError("which month? make data-arrives MONTH=2013-04")
    with step("Tell the pipeline"):
        today = arrive(sys.argv[1], settings)
    console.print(
        f"Told: the data of {sys.argv[1]} are complete. The pipeline trains as of {today}; make ui shows the run."
    )


if __name__ == "__main__":
    command(main)
