"""`make schedule`: training that starts by the clock, and when a month of data has arrived."""

import argparse
import os

from level3_training_pipeline.library_setup import set_up_libraries
from level3_training_pipeline.orchestration.prefect_server import prefect_server
from shared.console import console, step
from shared.errors import command
from shared.settings import NEW_YORK, read_settings

MONTH_ARRIVED = "flights.month-arrived"
DEPLOYMENT = "training/monthly"


def count(text: str) -> int:
    """A whole number of at least 1."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of at least 1")
    return int(text)


def seconds(text: str) -> float:
    """A time of at least a second."""
    try:
        if 1 <= float(text) < float("inf"):
            return float(text)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is no time of at least 1 second")


def main() -> None:
    """Serve the flow until Ctrl-C."""
    arguments = argparse.ArgumentParser(description=main.__doc__)
    arguments.add_argument(
        "--every", type=seconds, metavar="SECONDS", help="a schedule to watch, instead of 6 a.m. on the 1st"
    )
    arguments.add_argument("--trials", type=count, help="tuning trials a training")
    options = arguments.parse_args()
    settings = read_settings()
    set_up_libraries(settings)
    with prefect_server(settings) as server:
        os.environ["PREFECT_API_URL"] = server.api  # for the processes that will run the flow
        with step("Load the libraries"):
            from prefect.events import DeploymentEventTrigger
            from prefect.schedules import Cron, Interval

            from level3_training_pipeline.pipeline.flow import TRIALS, training
        with step("Start the Prefect server"):
            server.wait()
        trials = options.trials or TRIALS
        clock = Interval(options.every) if options.every else Cron("0 6 1 * *", timezone=NEW_YORK)
        new_month = DeploymentEventTrigger(
            name="a month of data has arrived",
            expect={MONTH_ARRIVED},
            parameters={
                "today": "{{ event.payload.today }}",
                "cause": "{{ event.payload.cause }}",
                "trials": trials,
            },
        )
        console.print(
            f"Prefect: {server.address} · by the clock: as of {settings.today} · "
            "a new month: make data-arrives MONTH=2013-04 · end: Ctrl-C"
        )
        training.serve(
            name=DEPLOYMENT.partition("/")[2],
            schedule=clock,
            triggers=[new_month],
            parameters={"cause": "schedule", "trials": trials},
            limit=1,  # one training at a time; the next one waits
            print_starting_message=False,
        )


if __name__ == "__main__":
    command(main)
