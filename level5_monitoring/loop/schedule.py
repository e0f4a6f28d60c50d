"""`make monitor`: the platform with the loop beside it, run every night and as soon as a day is closed."""

import os
import threading
import time

import sqlalchemy as sa

from level3_training_pipeline.orchestration import prefect_server
from level4_deployment.control.client import is_running
from level4_deployment.control.platform_process import running_platform
from level5_monitoring import config
from level5_monitoring.loop import loop_store
from level5_monitoring.monitors.reference import load_reference
from level5_monitoring.monitors.window import closed_days
from shared.console import console, step
from shared.errors import UserError
from shared.processes.children import SERVES, serve_until_the_end
from shared.processes.process_identity import this_process
from shared.settings import NEW_YORK, Settings

DAY_CLOSED = "flights.day-closed"
POLL_EVERY = 2.0  # seconds between two reads of the watermark
REPEAT_AFTER = 15.0  # seconds after an event without effect: the server may not have known the deployment yet


def emit_closed_days(log: sa.Engine) -> None:
    """Emit an event whenever a closed day has no decision yet; runs for ever, and reports errors."""
    from prefect.events import emit_event

    while True:
        pause = POLL_EVERY
        try:
            if due := closed_days(log, after=loop_store.last_day_done(log)):
                pause = REPEAT_AFTER
                emit_event(
                    DAY_CLOSED, resource={"prefect.resource.id": "flights"}, payload={"cause": f"{due[-1]} is closed"}
                )
        except Exception as error:  # noqa: BLE001 - the next attempt may succeed
            pause = REPEAT_AFTER
            console.print(f"The watermark cannot be read: {error}")
        time.sleep(pause)


def monitor(settings: Settings, every: float | None = None) -> None:
    """Serve the nightly runs until Ctrl-C; every: seconds from run to run, instead of half past midnight.

    Raises UserError for a platform that runs here already: it may promote by itself, whatever the policy decides.
    """
    load_reference(config.own(settings))  # every run needs it: an error now is better than one each night
    folder = config.platform(settings)
    if is_running(folder):
        raise UserError(
            f"a platform runs in {folder} already. Remedy: end it with Ctrl-C; make monitor starts its own."
        )
    with (
        config.open_log(settings) as log,  # first: a log of an earlier version is refused here, with the remedy
        prefect_server.prefect_server(settings) as server,
        running_platform(folder, "--approval") as platform,
    ):
        # For the processes that will run the flow.
        os.environ.update({"PREFECT_API_URL": server.api, SERVES: this_process()})
        with step("Start the platform"):
            platform.wait_for_control()
        with step("Load the libraries"):
            from prefect.events import DeploymentEventTrigger
            from prefect.schedules import Cron, Interval

            from level5_monitoring.loop.flow import turns
        with step("Start the Prefect server"):
            server.wait()
        console.print(f"Platform: {platform.service} · Prefect: {server.address} · end: Ctrl-C")
        console.print("The loop runs by the clock, and for every day that closes.")
        cause = {"cause": "{{ event.payload.cause }}"}
        closed = DeploymentEventTrigger(name="a day is closed", expect={DAY_CLOSED}, parameters=cause)
        threading.Thread(target=emit_closed_days, args=[log], daemon=True).start()
        serve_until_the_end()
        turns.serve(
            name="nightly",
            schedule=Interval(every) if every else Cron("30 0 * * *", timezone=NEW_YORK),
            parameters={"cause": "by the clock"},
            triggers=[closed],
            limit=1,  # one run after the other
            print_starting_message=False,
        )
