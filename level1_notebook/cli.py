"""The command line of level 1."""

import argparse

from shared.console import record_output, step
from shared.processes.at_work import at_work
from shared.settings import read_settings


def main() -> None:
    """Run the verb on the command line, or the whole level when there is none."""
    parser = argparse.ArgumentParser(prog="python -m level1_notebook", description="Run the level, or a verb.")
    parser.add_argument("--quiet", action="store_true", help="of the level, print only the screen that ends it")
    verbs = parser.add_subparsers(title="verbs", dest="verb")
    verb = verbs.add_parser("open", help="open a copy of the notebook in JupyterLab, until Ctrl-C")
    verb.add_argument("--no-browser", action="store_true", help="only print the address")
    options = parser.parse_args()
    settings = read_settings()  # before the libraries are loaded, so that a wrong setting is reported at once
    if options.verb == "open":
        from level1_notebook import open_notebook

        with at_work(settings, "level1", "make notebook"):
            open_notebook.open_lab(settings, browser=not options.no_browser)
        return
    at = at_work(settings, "level1", "make level1", once=True)
    with at, record_output("Level 1 · notebook", settings, "level1", quiet=options.quiet):
        with step("Load the libraries"):
            from level1_notebook import run
        run.main()
