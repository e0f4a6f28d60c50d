"""`python -m level2_devops [train|release|rollback|serve|load]`: one verb, or without one the whole level."""

import argparse
import threading
from collections.abc import Callable
from pathlib import Path

from shared import arguments
from shared.console import console, record_output, step
from shared.errors import UserError, on_end
from shared.processes.at_work import at_work
from shared.settings import read_settings, user


def main() -> None:
    """Read the command line and do what it names."""
    parser = argparse.ArgumentParser(prog="python -m level2_devops", description=__doc__)
    parser.set_defaults(run=run_level)
    parser.add_argument("--quiet", action="store_true", help="of the level, print only the screen that ends it")
    verbs = parser.add_subparsers(metavar="VERB")

    def verb(run: Callable[..., None], about: str) -> argparse.ArgumentParser:
        command = verbs.add_parser(run.__name__, help=about, description=about)
        command.set_defaults(run=run)
        return command

    verb(train, "train on the labels known today, and save the model with its card")
    command = verb(release, "test, build, smoke-test and switch to a new release")
    command.add_argument("--model", type=Path, help="folder of the model; without it, the one of `train`")
    command.add_argument("--note", default="", help="why, for the history")
    command = verb(rollback, "switch back to the release before the current one")
    command.add_argument("--note", default="", help="why, for the history")
    command = verb(serve, "serve the current release until Ctrl-C")
    command.add_argument("--port", type=arguments.port, default=0, help="on 127.0.0.1; without it, a free one")
    verb(load, "load the running service for five seconds with flights of the future")
    options = vars(parser.parse_args())
    run, quiet = options.pop("run"), options.pop("quiet")
    name = "level2" if run is run_level else run.__name__
    settings = read_settings()
    with at_work(settings, "level2", f"make {name}", once=run is run_level):
        if run is run_level:
            with record_output("Level 2 · DevOps without MLOps", settings, "level2", quiet=quiet):
                run_level()
        else:
            run(**options)


def run_level() -> None:
    """Run the level from end to end."""
    with step("Load the libraries"):
        from level2_devops import run
    run.main()


def train() -> None:
    """Train on what is known today."""
    settings = read_settings()
    with step("Load the libraries"):
        from level2_devops import model
        from shared.data.flights import load_flights
        from shared.data.split import history
    with step("Load the flights of 2013"):
        known = history(load_flights(settings), settings.now)
    with step(f"Train on the {len(known):,} flights known on {settings.today}"):
        folder = model.train(known, settings.today, settings.level("level2") / "model")
    console.print(f"The model and its card are in {folder}")


def release(model: Path | None, note: str) -> None:
    """Release the code of this project with a trained model."""
    from level2_devops.release import pipeline

    settings = read_settings()
    made = pipeline.release(model or settings.level("level2") / "model", settings, actor=user(), note=note)
    for gate, result in made.gates.items():
        console.print(f"  {gate}: {result}")
    switched = "no service runs: make serve" if made.switched_in is None else f"switched in {made.switched_in:.1f} s"
    console.print(f"Release {made.version} is current after {made.seconds:.1f} s; {switched}. It is in {made.app}")


def rollback(note: str) -> None:
    """Go back by one release."""
    from level2_devops.release import pipeline

    back = pipeline.roll_back(read_settings(), actor=user(), note=note)
    switched = "no service runs" if back.switched_in is None else f"the service switched in {back.switched_in:.1f} s"
    console.print(f"Release {back.version} is current again after {back.seconds:.1f} s; {switched}.")


def serve(port: int) -> None:
    """Serve until SIGTERM or Ctrl-C."""
    from level2_devops import supervisor

    stop = threading.Event()
    on_end(stop.set)
    supervisor.serve(read_settings(), port, stop)


def load() -> None:
    """Load the running service, and compare its figures with its clients'."""
    from level2_devops.load_generator import CLIENTS, measure, traffic
    from level2_devops.release.service_status import read_service_status
    from level2_devops.release.store import Store
    from level2_devops.service.requests import flights_as_requests
    from shared.data.flights import load_flights
    from shared.data.split import future

    settings = read_settings()
    running = read_service_status(Store(settings.level("level2")))
    if running is None:
        raise UserError("no service runs here. Remedy: make serve, in another terminal.")
    with step("Prepare the requests"):
        requests = flights_as_requests(future(load_flights(settings), settings.now).head(2000))
    with step(f"Load {running.address} for 5 s with {CLIENTS} clients"), traffic(running.address, requests) as seen:
        figures = measure(running.address, 5.0)
    console.print(f"/metrics: {figures}\nthe clients: {len(seen.failed)} of {len(seen.rows):,} requests failed")
