"""`make watch`: the loop's turns by the clock, and as soon as a day is closed; the platform must run."""

import argparse
import os
import threading
import time

import sqlalchemy as sa

from level3_training_pipeline import prefect_server
from level5_monitoring import home, record
from level5_monitoring.window import closed_days
from shared.console import console, step
from shared.errors import command
from shared.settings import NEW_YORK

DAY_CLOSED = "flights.day-closed"
LOOK_EVERY = 2.0  # seconds between two looks at the watermark
AGAIN = 15.0  # seconds after an event that nothing came of: the server may not have known yet whom to start


def sense(log: sa.Engine) -> None:
    """Emit an event when the watermark has closed a day that was not decided upon; for ever, whatever goes wrong."""
    from prefect.events import emit_event

    while True:
        pause = LOOK_EVERY
        try:
            if due := closed_days(log, after=record.last_done(log)):
                pause = AGAIN
                emit_event(DAY_CLOSED, resource={"prefect.resource.id": "flights"}, payload={"day": due[-1]})
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told, and the next look may do better
            pause = AGAIN
            console.print(f"The watermark cannot be watched: {error}", markup=False)
        time.sleep(pause)


def main() -> None:
    """Serve the turns until Ctrl-C."""
    arguments = argparse.ArgumentParser(prog="python -m level5_monitoring.watch", description=main.__doc__)
    arguments.add_argument(
        "--every", type=float, metavar="SECONDS", help="a clock to watch, instead of half past midnight"
    )
    options = arguments.parse_args()
    settings = home.enter()
    with prefect_server.prefect_server(settings) as server:
        os.environ["PREFECT_API_URL"] = server.api  # for the processes that will run the flow
        with step("Load the libraries"):
            from prefect.events import DeploymentEventTrigger
            from prefect.schedules import Cron, Interval

            from level5_monitoring.flow import turns

            log = home.open_log(settings)
        with step("Start the Prefect server"):
            server.wait()
        console.print(f"Prefect: {server.address} · turns by the clock, and for every closed day · end: Ctrl-C")
        threading.Thread(target=sense, args=[log], daemon=True).start()
        turns.serve(
            name="nightly",
            schedule=Interval(options.every) if options.every else Cron("30 0 * * *", timezone=NEW_YORK),
            triggers=[DeploymentEventTrigger(name="a day is closed", expect={DAY_CLOSED})],
            limit=1,  # one turn after the other
            print_starting_message=False,
        )


if __name__ == "__main__":
    command(main)
