"""`make schedule`: training that starts by the clock, and when a month of data has arrived."""

import argparse
import os

from level3_training_pipeline.prefect_server import prefect_server
from level3_training_pipeline.quiet import set_up_libraries
from shared.console import console, step
from shared.errors import command
from shared.settings import NEW_YORK, read_settings

MONTH_ARRIVED = "flights.month-arrived"


def main() -> None:
    """Serve the flow until Ctrl-C."""
    arguments = argparse.ArgumentParser(description=main.__doc__)
    arguments.add_argument(
        "--every", type=float, metavar="SECONDS", help="a schedule to watch, instead of 6 a.m. on the 1st"
    )
    arguments.add_argument("--trials", type=int, default=6, help="tuning trials a training")
    options = arguments.parse_args()
    settings = read_settings()
    set_up_libraries(settings)
    with prefect_server(settings) as server:
        os.environ["PREFECT_API_URL"] = server.api  # for the processes that will run the flow
        with step("Load the libraries"):
            from prefect.events import DeploymentEventTrigger
            from prefect.schedules import Cron, Interval

            from level3_training_pipeline.flow import training
        with step("Start the Prefect server"):
            server.wait()
        clock = Interval(options.every) if options.every else Cron("0 6 1 * *", timezone=NEW_YORK)
        new_month = DeploymentEventTrigger(
            name="a month of data has arrived",
            expect={MONTH_ARRIVED},
            parameters={
                "today": "{{ event.payload.today }}",
                "cause": "{{ event.payload.cause }}",
                "trials": options.trials,
            },
        )
        console.print(f"Prefect: {server.address} · a new month: make data-arrives MONTH=2013-04 · end: Ctrl-C")
        training.serve(
            name="monthly",
            schedule=clock,
            triggers=[new_month],
            parameters={"cause": "schedule", "trials": options.trials},
            limit=1,  # one training at a time; the next one waits
            print_starting_message=False,
        )


if __name__ == "__main__":
    command(main)
