"""Level 5's command line: without a verb, `python -m level5_monitoring` runs the level."""

import argparse

from level5_monitoring import config
from shared import arguments
from shared.console import console, record_output, step
from shared.errors import UserError
from shared.processes.at_work import at_work
from shared.settings import user

# Each verb imports what it needs: the libraries take seconds to load.


def run_level(options: argparse.Namespace) -> None:
    """Run the level: nine months in production, unattended."""
    settings = config.configure()  # before the libraries are imported
    config.faults()  # a wrong value is reported before any work
    at = at_work(settings, config.LEVEL, "make level5", alone=True)
    with at, record_output("Level 5 · full MLOps", settings, config.LEVEL, quiet=options.quiet):
        with step("Load the libraries"):
            from level5_monitoring import run
        run.main()


def up(options: argparse.Namespace) -> None:
    """Start the live demo in the background; it goes on where it stopped."""
    from level5_monitoring.live_demo import processes

    address = processes.up(processes.configure(), fresh=options.fresh)
    console.print(f"The year, live: {address}")
    console.print("It shows what is under way, and links to Prefect, MLflow and Evidently. End: make down")
    console.print(f"Its figures, as text: curl -s {address}/metrics")


def down(_options: argparse.Namespace) -> None:
    """End the live demo."""
    from level5_monitoring.live_demo import processes

    processes.down(processes.demo_settings())


def monitor(options: argparse.Namespace) -> None:
    """Run level 5's platform, and the loop by the clock and whenever a day is closed."""
    from level5_monitoring.loop import schedule

    settings = config.configure()
    with at_work(settings, config.LEVEL, "make monitor", once=True):
        schedule.monitor(settings, options.every)


def explain(options: argparse.Namespace) -> None:
    """Print the decision of a day, its evidence and what followed."""
    from level5_monitoring.loop.explain import show_decision

    show_decision(options.day)


def accept(options: argparse.Namespace) -> None:
    """Accept a new code, on record: its alarm ends, and the limits of its column are learnt anew."""
    settings = config.configure()
    with step("Read the record"):
        from level5_monitoring.loop.accept import accept
        from level5_monitoring.monitors.reference import load_reference

        reference = load_reference(config.own(settings))
        with config.open_log(settings) as log:
            made = accept(log, reference, options.column, options.code, options.reason)
    console.print(
        f"{made.name} {made.code} is normal since {made.since}, by {user()}: the next closed day has no alarm."
    )


def reports(options: argparse.Namespace) -> None:
    """Make Evidently's reports of the closed weeks, then serve its pages until Ctrl-C."""
    from level5_monitoring.dashboard import evidently_reports
    from level5_monitoring.monitors.reference import FILE

    settings = config.configure()
    if not (config.own(settings) / FILE).exists():
        raise UserError("level 5 has not run yet: there is no year to report. Remedy: make level5.")
    with at_work(settings, config.LEVEL, "make reports"):
        evidently_reports.add_weeks(settings)
        if not options.no_pages:
            evidently_reports.serve_pages(settings)


def page(_options: argparse.Namespace) -> None:
    """Write the year as one page."""
    settings = config.configure()
    with step("Read the year"):
        from level5_monitoring.dashboard.page import write_page

        file = write_page(settings)
    console.print(f"The year on one page: {file.as_uri()}")


def check(_options: argparse.Namespace) -> None:
    """Compare the last year with the level's aims."""
    from level5_monitoring.policy_backtest.comparison import check_aims

    check_aims(config.configure())


def benchmark_monitors(_options: argparse.Namespace) -> None:
    """Measure how soon the monitors detect faults, and how often they raise false alarms."""
    from level5_monitoring.benchmarks import monitors

    monitors.main()


def benchmark_policies(_options: argparse.Namespace) -> None:
    """Measure what each retraining policy is worth, from four starts, and in a year with faults."""
    from level5_monitoring.benchmarks import policies

    policies.main()


def benchmark_page(_options: argparse.Namespace) -> None:
    """Measure how long the live page takes to open."""
    from level5_monitoring.benchmarks import page as page_benchmark

    page_benchmark.main()


def main() -> None:
    """Read the verb and its arguments, and run it."""
    parser = argparse.ArgumentParser(prog="python -m level5_monitoring", description=__doc__)
    parser.set_defaults(run=run_level)
    parser.add_argument("--quiet", action="store_true", help="of the level, print only the screen that ends it")
    verbs = parser.add_subparsers(metavar="verb")
    of = {}
    for run in (
        up,
        down,
        monitor,
        explain,
        accept,
        reports,
        page,
        check,
        benchmark_monitors,
        benchmark_policies,
        benchmark_page,
    ):
        name = run.__name__.replace("_", "-")
        of[name] = verbs.add_parser(name, help=run.__doc__, description=run.__doc__)
        of[name].set_defaults(run=run)
    of["up"].add_argument("--fresh", action="store_true", help="forget the year that was played, and begin anew")
    of["monitor"].add_argument(
        "--every", type=arguments.seconds, metavar="SECONDS", help="instead of half past midnight"
    )
    of["explain"].add_argument("day", help="the day of the decision, such as 2013-05-06")
    of["accept"].add_argument("column", choices=("carrier", "dest"))
    of["accept"].add_argument("code", help="the new code, such as VX")
    of["accept"].add_argument("--reason", default="the code is right", help="why, for the record")
    of["reports"].add_argument("--no-pages", action="store_true", help="do not serve the pages")
    options = parser.parse_args()
    if getattr(options, "code", None) == "":
        raise UserError("accept needs a value. Remedy: make accept CARRIER=VX, or make accept DEST=ABQ, for example.")
    options.run(options)
