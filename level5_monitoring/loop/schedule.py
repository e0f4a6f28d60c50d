"""`make watch`: the platform, and the loop's turns by the clock and as soon as a day is closed."""

import argparse
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from level3_training_pipeline.orchestration import prefect_server, schedule
from level4_deployment.control import client, platform_process
from level5_monitoring import config
from level5_monitoring.loop import loop_store
from level5_monitoring.monitors.reference import load_reference
from level5_monitoring.monitors.window import closed_days
from shared.console import console, step
from shared.errors import UserError, command
from shared.settings import NEW_YORK, Settings

DAY_CLOSED = "flights.day-closed"
LOOK_EVERY = 2.0  # seconds between two looks at the watermark
AGAIN = 15.0  # seconds after an event that nothing came of: the server may not have known yet whom to start


def emit_closed_days(log: sa.Engine) -> None:
    """Emit an event when the watermark has closed a day that was not decided upon; for ever, whatever goes wrong."""
    from prefect.events import emit_event

    while True:
        pause = LOOK_EVERY
        try:
            if due := closed_days(log, after=loop_store.last_done(log)):
                pause = AGAIN
                emit_event(DAY_CLOSED, resource={"prefect.resource.id": "flights"}, payload={"day": due[-1]})
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told, and the next look may do better
            pause = AGAIN
            console.print(f"The watermark cannot be watched: {error}", markup=False)
        time.sleep(pause)


@contextmanager
def platform(settings: Settings) -> Iterator[str]:
    """This level's platform, while the block runs: the one that runs, or one of its own. Gives the service's address.

    One that promotes by itself asks no policy: raises UserError.
    """
    folder = config.platform(settings)
    if client.is_running(folder):
        with client.PlatformClient.at(folder, "loop") as there:
            if not there.get("/status")["approval"]:
                remedy = "Remedy: end it with Ctrl-C; make watch starts one that waits for approval."
                raise UserError(f"the platform in {folder} promotes by itself, whatever the policy says. {remedy}")
        yield client.read_addresses(folder)["service"]
        return
    with platform_process.running_platform(folder, "--approval") as started:
        with step("Start the platform"):
            started.wait_for_control()
        yield started.service


def main() -> None:
    """Serve the turns until Ctrl-C."""
    arguments = argparse.ArgumentParser(prog="python -m level5_monitoring.loop.schedule", description=main.__doc__)
    arguments.add_argument(
        "--every", type=schedule.seconds, metavar="SECONDS", help="a clock to watch, instead of half past midnight"
    )
    options = arguments.parse_args()
    settings = config.configure()
    load_reference(config.own(settings))  # without it no turn can be taken: better told now than each night
    with prefect_server.prefect_server(settings) as server, platform(settings) as service:
        os.environ["PREFECT_API_URL"] = server.api  # for the processes that will run the flow
        with step("Load the libraries"):
            from prefect.events import DeploymentEventTrigger
            from prefect.schedules import Cron, Interval

            from level5_monitoring.loop.flow import turns

            log = config.open_log(settings)
        with step("Start the Prefect server"):
            server.wait()
        console.print(f"Platform: {service} · Prefect: {server.address} · end: Ctrl-C")
        console.print("Turns are taken by the clock, and for every day that its outcomes close.")
        threading.Thread(target=emit_closed_days, args=[log], daemon=True).start()
        turns.serve(
            name="nightly",
            schedule=Interval(options.every) if options.every else Cron("30 0 * * *", timezone=NEW_YORK),
            triggers=[DeploymentEventTrigger(name="a day is closed", expect={DAY_CLOSED})],
            limit=1,  # one turn after the other
            print_starting_message=False,
        )


if __name__ == "__main__":
    command(main)
