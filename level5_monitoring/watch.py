"""`make watch`: the loop's turns by the clock, and as soon as a day is closed; the platform must run."""

import argparse
import os

from level3_training_pipeline import prefect_server
from level5_monitoring.home import enter
from shared.console import console, step
from shared.errors import command
from shared.settings import NEW_YORK

DAY_CLOSED = "flights.day-closed"


def main() -> None:
    """Serve the turns until Ctrl-C."""
    arguments = argparse.ArgumentParser(prog="python -m level5_monitoring.watch", description=main.__doc__)
    arguments.add_argument(
        "--every", type=float, metavar="SECONDS", help="a clock to watch, instead of half past midnight"
    )
    options = arguments.parse_args()
    settings = enter()
    with prefect_server.prefect_server(settings) as server:
        os.environ["PREFECT_API_URL"] = server.api  # for the processes that will run the flow
        with step("Load the libraries"):
            from prefect.events import DeploymentEventTrigger
            from prefect.schedules import Cron, Interval

            from level5_monitoring.flow import turns
        with step("Start the Prefect server"):
            server.wait()
        console.print(f"Prefect: {server.address} · turns by the clock, and for every closed day · end: Ctrl-C")
        turns.serve(
            name="nightly",
            schedule=Interval(options.every) if options.every else Cron("30 0 * * *", timezone=NEW_YORK),
            triggers=[DeploymentEventTrigger(name="a day is closed", expect={DAY_CLOSED})],
            limit=1,  # one turn after the other
            print_starting_message=False,
        )


if __name__ == "__main__":
    command(main)
