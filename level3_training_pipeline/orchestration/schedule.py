"""`make schedule`: trainings that start by the clock, and when a month of data has arrived."""

import os

from level3_training_pipeline.orchestration.prefect_server import prefect_server
from shared.console import console, step
from shared.processes.children import SERVES, serve_until_the_end
from shared.processes.process_identity import this_process
from shared.settings import NEW_YORK, Settings

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
