"""`make data-arrives MONTH=2013-04`: send the event that a month of data is complete, which starts a training."""

import asyncio
import os
from datetime import date

import pandas as pd

from level3_training_pipeline.orchestration.prefect_server import PrefectServer, running_server
from level3_training_pipeline.orchestration.schedule import DEPLOYMENT, MONTH_ARRIVED
from shared.errors import UserError
from shared.settings import FIRST_TODAY, LAST_TODAY, Settings
from shared.waiting import answers


def emit(month: str, settings: Settings) -> str:
    """Send the event; returns the day (YYYY-MM-DD) as of which the pipeline will train."""
    try:
        first = date.fromisoformat(f"{month}-01")  # which accepts YYYY-MM only
    except ValueError as error:
        raise UserError(
            f"MONTH={month!r} is not a month. Remedy: write it as YYYY-MM, for example MONTH=2013-04."
        ) from error
    if not date(2013, 2, 1) <= first < LAST_TODAY:
        raise UserError(
            f"MONTH={month} is none that a training can follow; one is as of {FIRST_TODAY} to {LAST_TODAY}: the data "
            "are of 2013, and a model needs two months to learn from. Remedy: a month from 2013-02 to 2013-12."
        )
    after = (pd.Timestamp(first) + pd.offsets.MonthBegin()).date()
    server = running_server(settings)
    if server:
        os.environ["PREFECT_API_URL"] = server.api  # before Prefect is imported: its sender of events reads it once
    if server is None or not answers(server.health) or not _has_listener(server):
        raise UserError("no schedule listens. Remedy: start it first, in another terminal: make schedule")
    from prefect.events import Event, Resource
    from prefect.events.clients import get_events_client

    event = Event(
        event=MONTH_ARRIVED,
        resource=Resource({"prefect.resource.id": "flights"}),
        payload={"month": month, "today": str(after), "cause": f"data of {month} arrived"},
    )

    async def send() -> None:
        async with get_events_client() as client:
            await client.emit(event)

    asyncio.run(send())  # Prefect's `emit_event` would send it when the process ends
    return str(after)


def _has_listener(server: PrefectServer) -> bool:
    """Whether `make schedule` runs. Other commands also start the server, and without a schedule the event is lost."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.objects import DeploymentStatus
    from prefect.exceptions import ObjectNotFound
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: server.api}), get_client(sync_client=True) as prefect:
        try:
            found = prefect.read_deployment_by_name(DEPLOYMENT)
        except ObjectNotFound:
            return False
    return found.status == DeploymentStatus.READY and not found.paused  # a schedule pauses it when it ends
