"""`make up`: the live demo in the background. It goes on where it stood; `--fresh` begins the year anew."""

import argparse
import shutil
import subprocess
import sys
import time

import httpx

from level5_monitoring import config
from level5_monitoring.live_demo.processes import DEMO, LOG, ProcessRecord, configure, end
from shared.console import console, step
from shared.errors import UserError, command
from shared.settings import Settings

UP_WITHIN = 120.0  # seconds until the page answers


def up(settings: Settings, *, fresh: bool = False) -> str:
    """Start the demo unless it is up already; returns the page's address, at which it answers."""
    own = config.own(settings)
    record = ProcessRecord(own)
    if record.alive(DEMO):
        console.print("The demo is up already.")
        return wait(record.address)
    if left := end(settings, record):
        console.print(f"Ended what the last demo had left behind: {', '.join(left)}.")
    if fresh:
        if not settings.workspace:
            raise UserError("MLOPS_WORKSPACE is empty: the state of all levels would go. Remedy: leave it out.")
        shutil.rmtree(settings.state / settings.workspace)
        own = config.own(settings)
    with step("Start the demo"):
        with (own / LOG).open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "level5_monitoring.live_demo.demo"],
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # it stays when this terminal is closed
            )
        until = time.monotonic() + UP_WITHIN
        while not (address := ProcessRecord(own).address):
            if process.poll() is not None or time.monotonic() > until:
                raise UserError(f"the demo has not come up. Remedy: see {own / LOG}")
            time.sleep(0.1)
        return wait(address)


def wait(address: str) -> str:
    """Return the address when the page answers there."""
    until = time.monotonic() + UP_WITHIN
    while time.monotonic() < until:
        try:
            if httpx.get(f"{address}/state", timeout=5, trust_env=False).status_code == 200:
                return address
        except httpx.HTTPError:
            time.sleep(0.2)
    raise UserError(f"the page does not answer at {address}. Remedy: make down, then make up.")


def main() -> None:
    """Start it, and say where it is."""
    parser = argparse.ArgumentParser(prog="python -m level5_monitoring.live_demo.up", description=main.__doc__)
    parser.add_argument("--fresh", action="store_true", help="forget the year that was played, and begin anew")
    options = parser.parse_args()
    address = up(configure(), fresh=options.fresh)
    console.print(f"The year, live: {address}", markup=False)
    console.print("It links to Prefect, MLflow and Evidently as they come up. End: make down")


if __name__ == "__main__":
    command(main)
