"""Level 4's command line: `python -m level4_deployment` runs the level; with a verb, it runs that command.

Actions on a running platform need the operator's token, and are recorded. Heavy libraries are imported where they are
used, after the first line is printed.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from level4_deployment.config import configure
from shared.arguments import Parser, count, reason, share, version
from shared.console import console, print_styled, record_output, show_table, step
from shared.processes.at_work import at_work
from shared.settings import user

if TYPE_CHECKING:
    from level4_deployment.control.client import PlatformClient
    from shared.settings import Settings


Verb = Callable[[argparse.Namespace], None]
ACTIONS: dict[str, tuple[str, str, Any, str]] = {  # the platform's path, what it does, its value's type, an example
    "promote": ("versions/{value}/promote", "Make a version the champion by hand.", version, "VERSION=2"),
    "rollback": ("rollback", "Make the version before this champion the champion again.", None, ""),
    "approve": ("experiment/approve", "Let the winner that waits for approval become the champion.", None, ""),
    "traffic-split": ("experiment/traffic-split", "Begin a new experiment with another share.", share, "SHARE=0.3"),
    "stop": ("experiment/stop", "Stop the experiment: it ends without a verdict.", None, ""),
}


def main() -> None:
    """Read a verb from the command line, and do it; without a verb, run the level."""
    parser = Parser(prog="python -m level4_deployment", description=main.__doc__)
    parser.set_defaults(do=run_level)
    parser.add_argument("--quiet", action="store_true", help="of the level, print only the screen that ends it")
    verbs = parser.add_subparsers(title="verbs", metavar="")

    def add(name: str, do: Verb, about: str | None = None, kind: Any = None, example: str = "") -> Parser:
        """A verb; one that has a `kind` needs a value of that type, for example `example`."""
        verb = verbs.add_parser(name, help=about or do.__doc__, description=about or do.__doc__)
        verb.set_defaults(do=do, name=name)
        if kind:
            verb.add_argument("value", type=kind, metavar=example.partition("=")[0])
        if example:
            verb.example = f"make {name} {example}, for example"
        return verb

    platform = add("platform", run_platform)
    platform.add_argument("--home", type=Path, help="the platform's folder; without it, level 4's state")
    platform.add_argument("--approval", action="store_true", help="a winner waits until a person approves of it")
    platform.add_argument("--workers", type=count, default=2, metavar="N", help="processes that predict; else 2")
    add("deliver", deliver, kind=version, example="VERSION=1")
    streaming = add("stream", stream, example="FROM=2013-05-01 TO=2013-06-01")
    streaming.add_argument("--from", dest="begin", default="", metavar="DAY", help="the first day; else the next one")
    streaming.add_argument("--to", dest="end", default="", metavar="DAY", help="the day after the last; else a month")
    streaming.add_argument("--level", choices=["4", "5"], default="4", help="whose platform")
    add("submit", submit, kind=version, example="VERSION=2")
    add("status", show_status)
    add("audit", show_audit)
    for name, (_, *described) in ACTIONS.items():
        add(name, act, *described).add_argument("--reason", type=reason, default=f"by {user()}")
    add("explain", explain_prediction, kind=str, example="REQUEST=id, or make explain DECISION=2013-07-15 of level 5")
    add("simulate-ab", simulate_ab)
    add("benchmark-serving", benchmark_serving)
    options = parser.parse_args()
    options.do(options)


def run_level(options: argparse.Namespace) -> None:
    """Run the level from top to bottom."""
    settings = configure()
    at = at_work(settings, "level4", "make level4", alone=True)
    with at, record_output("Level 4 · automated deployment", settings, "level4", quiet=options.quiet):
        with step("Load the libraries"):
            from level4_deployment import run
        run.main()


def run_platform(options: argparse.Namespace) -> None:
    """Run the platform: control plane and workers on free ports."""
    settings = configure()
    from level4_deployment.control import server

    if options.home:  # a later level's, or a demonstration's, which is at work there
        server.serve(settings, options.home, options.workers, approval=options.approval)
        return
    with at_work(settings, "level4", "make platform", once=True):
        server.serve(settings, settings.level("level4"), options.workers, approval=options.approval)


@contextmanager
def operator() -> Iterator["PlatformClient"]:
    """The running platform, with the operator's permissions."""
    settings = configure()
    from level4_deployment.control.client import PlatformClient

    with PlatformClient.at(settings.level("level4"), "operator") as platform:
        yield platform


def act(options: argparse.Namespace) -> None:
    """Change what the running platform does."""
    with operator() as platform:
        from level4_deployment.experiment.experiment_store import APPROVAL, RUNNING

        now = platform.get("/status")
        if options.name == "stop" and not any(one["state"] in {RUNNING, APPROVAL} for one in now["experiments"]):
            console.print("No experiment is running: there is nothing to stop.")
            print_status(platform)
            return
        begun = time.perf_counter()
        path = ACTIONS[options.name][0].format(**vars(options))
        body = {"share": options.value} if options.name == "traffic-split" else {"reason": options.reason}
        if options.name == "rollback":  # only once, also where the request is sent again
            body["expected"] = now["routes"] and now["routes"]["champion"]["version"]
        done = platform.post(f"/{path}", **body)
        console.print(f"done after {time.perf_counter() - begun:.1f} s")
        print_status(platform)
        if options.name == "promote" and done["against"]:
            console.print(
                f"Warning: version {options.value} serves now, although it {done['against']}. This is on record; "
                "make platform-rollback goes back."
            )


def submit(options: argparse.Namespace) -> None:
    """Put a version of level 4's registry through the gates, and try it against the champion."""
    settings = configure()
    with operator() as platform, at_work(settings, "level4", "make submit"):
        _deploy(platform, settings, options.value)
        print_status(platform)


def deliver(options: argparse.Namespace) -> None:
    """Bring a version of level 3's registry to the platform: gates, then experiment; the first one serves at once."""
    settings = configure()
    with operator() as platform, at_work(settings, "level4", "make deliver"):
        with step("Load the libraries"):
            from level4_deployment.delivery.from_level3 import import_version
        with step(f"Bring version {options.value} of level 3"):
            made = import_version(options.value, settings).number
        console.print(f"Level 3's version {options.value} is version {made} here.")
        now = platform.get("/status")
        if now["routes"] and now["routes"]["champion"]["version"] == made:
            console.print("It is the champion already.")
        elif any((one["challenger"], one["state"]) == (made, "running") for one in now["experiments"]):
            console.print("It is being tried already.")
        else:
            _deploy(platform, settings, made)
        print_status(platform)
        tried = any(one["state"] == "running" for one in platform.get("/status")["experiments"])
        then = "make level3 after a change, then make deliver with the new VERSION, tries it against this one"
        console.print(f"Next: {'make stream sends a month of real flights to both versions' if tried else then}.")


def stream(options: argparse.Namespace) -> None:
    """Send the real flights of some days to the running platform, and their labels as soon as they were known."""
    settings = configure(f"level{options.level}")
    home = settings.level("level4")
    with at_work(settings, "level4", "make stream", once=True):
        from level4_deployment.control.client import read_addresses

        read_addresses(home)  # before the libraries are loaded
        with step("Load the libraries"):
            from level4_deployment.demo import stream
        stream.stream(settings, home, options.begin, options.end)


def _deploy(platform: "PlatformClient", settings: "Settings", number: int) -> None:
    """Package, gates and submission of a version of level 4's registry."""
    from level3_training_pipeline.orchestration import prefect_server

    with prefect_server.prefect_server(settings) as server:
        with step("Load the libraries"):
            from level3_training_pipeline.orchestration import run_flow
            from level4_deployment.control.client import OtherCodeError
            from level4_deployment.delivery.flow import deployment
            from level4_deployment.serving.requests import code_digest
        if platform.get("/status")["code"] != code_digest():
            raise OtherCodeError("the features of a request")
        with step("Wait for the Prefect server"):
            server.wait()
        home = settings.level("level4")
        run_flow.run_flow(server, deployment, number, home, None, True)  # noqa: FBT003 - show the gates first


def show_status(_options: argparse.Namespace) -> None:
    """Show what the platform serves, and its experiments."""
    with operator() as platform:
        print_status(platform)


def print_status(platform: "PlatformClient") -> None:
    """Print what serves, the experiments, and the plan of the one that has not ended."""
    from level4_deployment.experiment.design import Plan
    from level4_deployment.experiment.experiment_store import APPROVAL, RUNNING

    now = platform.get("/status")
    if now["routes"]:
        champion = now["routes"]["champion"]["version"]
        console.print(f"champion: version {champion} (generation {now['routes']['generation']})")
    if now["degraded"]:
        console.print(f"degraded: {now['degraded']}")
    if rows := [[one["experiment"], one["state"], one["reason"]] for one in now["experiments"]]:
        show_table("Experiments", ["challenger-against-champion", "state", "reason"], rows)
    for one in now["experiments"]:
        if one["state"] in {RUNNING, APPROVAL}:
            plan = Plan.of(**one["plan"])
            console.print(f"The plan: {plan.rules}.\n  {one['experiment']}: {plan.power}")


def show_audit(_options: argparse.Namespace) -> None:
    """Show the audit trail: every action, with actor and reason."""
    with operator() as platform:
        from level4_deployment.control import audit

        print_styled(("Audit trail (UTC)", "bold"))
        last = ""
        for one in platform.get("/audit"):
            at = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(one["at"]))
            ended = "" if one["status"] == audit.DONE else f" ({one['status'].replace('_', ' ')})"
            console.print(f"{at} {one['actor']}: {audit.describe(one)}{ended}")
            if one["reason"] != last:  # a promotion ends its experiment for the same reason
                last = one["reason"]
                console.print(f"    {last}")


def explain_prediction(options: argparse.Namespace) -> None:
    """Trace an answer back to version, run, commit and data, and show which features moved it."""
    settings = configure()
    from level4_deployment import explain

    with step("Look it up"):
        explained = explain.explain(settings, settings.level("level4"), options.value)
    explain.show(explained)


def simulate_ab(_options: argparse.Namespace) -> None:
    """Measure the A/B test's error rates on thousands of replays of the real year."""
    from level4_deployment.benchmarks import ab_error_rates

    ab_error_rates.main()


def benchmark_serving(_options: argparse.Namespace) -> None:
    """Measure level 4's service beside others, in interleaved rounds."""
    from level4_deployment.benchmarks import serving

    serving.main()
