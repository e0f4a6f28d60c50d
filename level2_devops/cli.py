"""`python -m level2_devops [train|release|rollback|serve|load]`: one verb, or without one the whole level."""

import argparse
from contextlib import ExitStack, suppress

from shared.console import console, record_output, step
from shared.errors import UserError
from shared.processes.at_work import at_work
from shared.settings import Settings, read_settings, user


def main() -> None:
    """Read the command line and do what it names."""
    parser = argparse.ArgumentParser(prog="python -m level2_devops", description=__doc__)
    parser.set_defaults(run=run_level)
    parser.add_argument("--quiet", action="store_true", help="of the level, print only the screen that ends it")
    verbs = parser.add_subparsers(metavar="VERB")

    for run in (train, release, rollback, serve, load):
        verbs.add_parser(run.__name__, help=run.__doc__, description=run.__doc__).set_defaults(run=run)
    options = parser.parse_args()
    name = "level2" if options.run is run_level else options.run.__name__
    settings = read_settings()
    with ExitStack() as stack:
        stack.enter_context(at_work(settings, "level2", f"make {name}", once=options.run in (run_level, serve)))
        if options.run is run_level:
            title = "Level 2 · DevOps without MLOps"
            stack.enter_context(record_output(title, settings, "level2", quiet=options.quiet))
        options.run(settings)


def run_level(_settings: Settings) -> None:
    """Run the level from end to end."""
    with step("Load the libraries"):
        from level2_devops import run
    run.main()


def train(settings: Settings) -> None:
    """Train on the labels known today, and save the model with its card."""
    with step("Load the libraries"):
        from level2_devops import model
        from shared.data.flights import load_flights
        from shared.data.split import history
    with step("Load the flights of 2013"):
        known = history(load_flights(settings), settings.now)
    with step(f"Train on the {len(known):,} flights known on {settings.today}"):
        folder = model.train(known, settings.today, settings.level("level2") / "model")
    console.print(f"The model and its card are in {folder}")


def release(settings: Settings) -> None:
    """Test, build, smoke-test and switch to a new release."""
    from level2_devops.release import pipeline

    made = pipeline.release(settings.level("level2") / "model", settings, actor=user())
    for gate, result in made.gates.items():
        console.print(f"  {gate}: {result}")
    switched = "no service runs: make serve" if made.switched_in is None else f"switched in {made.switched_in:.1f} s"
    console.print(f"Release {made.version} is current after {made.seconds:.1f} s; {switched}. It is in {made.app}")


def rollback(settings: Settings) -> None:
    """Switch back to the release before the current one."""
    from level2_devops.release import pipeline

    back = pipeline.roll_back(settings, actor=user())
    switched = "no service runs" if back.switched_in is None else f"the service switched in {back.switched_in:.1f} s"
    console.print(f"Release {back.version} is current again after {back.seconds:.1f} s; {switched}.")


def serve(settings: Settings) -> None:
    """Serve the current release until Ctrl-C."""
    from level2_devops import supervisor

    with suppress(KeyboardInterrupt):
        supervisor.serve(settings)


def load(settings: Settings) -> None:
    """Load the running service for five seconds with flights of the future."""
    from level2_devops.load_generator import CLIENTS, measure, traffic
    from level2_devops.release.service_status import read_service_status
    from level2_devops.release.store import Store
    from level2_devops.service.requests import flights_as_requests
    from shared.data.flights import load_flights
    from shared.data.split import future

    running = read_service_status(Store(settings.level("level2")))
    if running is None:
        raise UserError("no service runs here. Remedy: make serve, in another terminal.")
    with step("Prepare the requests"):
        requests = flights_as_requests(future(load_flights(settings), settings.now).head(2000))
    with step(f"Load {running.address} for 5 s with {CLIENTS} clients"), traffic(running.address, requests) as seen:
        figures = measure(running.address, 5.0)
    console.print(f"/metrics: {figures}\nthe clients: {len(seen.failed)} of {len(seen.rows):,} requests failed")
