"""`make schedule`: trainings that start by the clock, and when a month of data has arrived.

`make data-arrives MONTH=2013-04` sends the event that a month is complete.
"""

import asyncio
import os
from datetime import date

import pandas as pd

from level3_training_pipeline.orchestration.prefect_server import PrefectServer, prefect_server, running_server
from shared.console import console, step
from shared.errors import UserError
from shared.processes.children import SERVES, serve_until_the_end
from shared.processes.process_identity import this_process
from shared.settings import FIRST_TODAY, LAST_TODAY, NEW_YORK, Settings
from shared.waiting import answers

MONTH_ARRIVED = "flights.month-arrived"
DEPLOYMENT = "training/monthly"


def serve(settings: Settings, every: float | None = None, trials: int | None = None) -> None:
    """Serve the training flow until Ctrl-C; every: seconds between trainings, instead of 6 a.m. on the 1st."""
    with prefect_server(settings) as server:
        # For the processes that will run the flow.
        os.environ.update({"PREFECT_API_URL": server.api, SERVES: this_process()})
        with step("Load the libraries"):
            from prefect.events import DeploymentEventTrigger
            from prefect.schedules import Cron, Interval

            from level3_training_pipeline.pipeline.flow import TRIALS, training
        with step("Start the Prefect server"):
            server.wait()
        trials = trials or TRIALS
        from_event = {name: f"{{{{ event.payload.{name} }}}}" for name in ("today", "cause")}
        new_month = DeploymentEventTrigger(
            name="a month of data has arrived", expect={MONTH_ARRIVED}, parameters={**from_event, "trials": trials}
        )
        console.print(
            f"Prefect: {server.address} · by the clock: as of {settings.today} · "
            "a new month: make data-arrives MONTH=2013-04 · end: Ctrl-C"
        )
        serve_until_the_end()
        training.serve(
            name=DEPLOYMENT.partition("/")[2],
            schedule=Interval(every) if every else Cron("0 6 1 * *", timezone=NEW_YORK),
            triggers=[new_month],
            parameters={"cause": "schedule", "trials": trials},
            limit=1,  # one training at a time; the next one waits
            print_starting_message=False,
        )


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
