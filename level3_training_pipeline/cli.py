"""The command line of level 3. Each verb loads its libraries after its first line of output."""

import argparse
import os
import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress

from level3_training_pipeline.library_setup import set_up_libraries
from shared import arguments
from shared.console import bar, console, record_output, step
from shared.processes.at_work import at_work
from shared.settings import Settings, read_settings, user


def main() -> None:
    """Run the verb on the command line, or the whole level when there is none."""
    parser = arguments.Parser(prog="python -m level3_training_pipeline", description="Run the level, or a verb.")
    parser.add_argument("--again", action="store_true", help="train also where nothing has changed")
    parser.add_argument("--quiet", action="store_true", help="of the level, print only the screen that ends it")
    parser.set_defaults(run=run_level, target="make level3")
    verbs = parser.add_subparsers(title="verbs")

    def verb(run: Callable[..., None], target: str = "") -> arguments.Parser:
        name = run.__name__.replace("_", "-")
        one = verbs.add_parser(name, help=run.__doc__)
        one.set_defaults(run=run, target=target or f"make {name}")
        return one

    for run in (deploy, reproduce, seeds):
        of_a_version = verb(run)
        of_a_version.add_argument("version", type=arguments.version, metavar="VERSION")
        of_a_version.example = f"make {run.__name__} VERSION=1, for example"
    verb(ui).add_argument("--level", choices=["3", "4", "5"], help="whose store to open")
    verb(score).add_argument("--keep", action="store_true", help="compare later codes with this one")
    timed = verb(schedule)
    often = "train this often, not at 6 a.m. on the 1st"
    timed.add_argument("--every", type=arguments.seconds, metavar="SECONDS", help=often)
    timed.add_argument("--trials", type=arguments.count, help="tuning trials per training")
    verb(emit_data_event, "make data-arrives").add_argument("month", nargs="?", default="", help="such as 2013-04")
    options = parser.parse_args()
    if getattr(options, "level", None) in {"4", "5"}:  # they have a store of their own
        os.environ["MLOPS_WORKSPACE"] = f"level{options.level}"
    settings = read_settings()
    set_up_libraries(settings)
    once = options.run in (run_level, schedule)
    with ExitStack() as stack:
        stack.enter_context(at_work(settings, "level3", options.target, once=once))
        if options.run in (run_level, deploy):  # they put a version into level 2's service
            stack.enter_context(at_work(settings, "level2", options.target, once=once))
        options.run(settings, options)


def run_level(settings: Settings, options: argparse.Namespace) -> None:
    """Run the level."""
    with record_output("Level 3 · automated training", settings, "level3", quiet=options.quiet):
        with step("Load the libraries"):
            from level3_training_pipeline import run
        run.main(anew=options.again)


def deploy(settings: Settings, options: argparse.Namespace) -> None:
    """Put a registered version into level 2's service."""
    with step("Load the libraries"):
        from level3_training_pipeline import deploy
    release, _ = deploy.deploy(str(options.version), settings, user())
    console.print(f"Version {options.version} is the champion: release {release.version}, by {user()}.")


def reproduce(settings: Settings, options: argparse.Namespace) -> None:
    """Build a version again and compare its predictions; exit status 1 when one differs."""
    with step("Load the libraries"):
        from level3_training_pipeline.pipeline import reproduce
    with step(f"Build version {options.version} again from its record"):
        result = reproduce.reproduce(str(options.version), settings)
    console.print(f"{result}.")
    for line in result.changed:
        console.print(f"  since then: {line}")
    sys.exit(1 if result.differing else 0)


def seeds(settings: Settings, options: argparse.Namespace) -> None:
    """Train as a version was, with other seeds, and print how far the scores spread."""
    with step("Load the libraries"):
        from level3_training_pipeline.pipeline import seeds
    with bar("Train with other seeds", 2 * len(seeds.SEEDS)) as advance:
        scores = seeds.scores_by_seed(str(options.version), settings, advance)
    seeds.show_spread(scores)


def ui(settings: Settings, _options: argparse.Namespace) -> None:
    """Open the pages of MLflow and Prefect until Ctrl-C: level 3's, or those of another level's store."""
    from level3_training_pipeline import ui

    place = settings.workspace or "level3"
    others = " or ".join(f"make ui LEVEL={n}" for n in "345" if place != f"level{n}")
    console.print(f"The store of {place.replace('level', 'level ')}: {settings.level('level3')}. Others: {others}")
    with suppress(KeyboardInterrupt):
        ui.serve_pages(settings)


def score(settings: Settings, options: argparse.Namespace) -> None:
    """Train the code as it is, and print whether it is better than the code whose score was kept."""
    with step("Load the libraries"):
        from dataclasses import asdict

        from level3_training_pipeline.pipeline import seeds
        from level3_training_pipeline.tracking import lineage
        from shared.files import short_commit, write_json
    kept, file = seeds.read_kept(settings), seeds.file_of(settings)
    if kept and not options.keep and kept.code == lineage.code_digest():
        write_json(file, asdict(kept) | {"commit": lineage.commit()})  # it may have been committed since
        console.print(f"The code that makes a model is the one whose score was kept: {kept}.")
        console.print("Next: change features or model in level2_devops, then make score.")
        return
    with bar("Train with several seeds, score on the later flights", len(seeds.COMPARED)) as advance:
        now = seeds.measure(settings, advance)
    console.print(f"This code: {now}.")
    if kept and not options.keep:
        console.print(f"{seeds.compare(kept, now)}.")
        return
    write_json(file, asdict(now))
    edited = " It contains edits that are not committed." if now.commit.endswith("-dirty") else ""
    console.print(f"Kept as what later codes are compared with: commit {short_commit(now.commit)}.{edited}")


def schedule(settings: Settings, options: argparse.Namespace) -> None:
    """Train by the clock and when a month of data arrives, until Ctrl-C."""
    from level3_training_pipeline.orchestration import schedule

    schedule.serve(settings, options.every, options.trials)


def emit_data_event(settings: Settings, options: argparse.Namespace) -> None:
    """Send the event that a month of data is complete."""
    from level3_training_pipeline.orchestration import schedule

    with step("Send the event"):
        today = schedule.emit(options.month, settings)
    console.print(f"The pipeline trains as of {today}, with the data of {options.month}; make ui shows the run.")
