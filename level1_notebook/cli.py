"""The command line of level 1."""

import argparse

from shared.console import step
from shared.settings import read_settings


def main() -> None:
    """Run the verb on the command line, or the whole level when there is none."""
    parser = argparse.ArgumentParser(prog="python -m level1_notebook", description="Run the level, or a verb.")
    verbs = parser.add_subparsers(title="verbs", dest="verb")
    verb = verbs.add_parser("open", help="open a copy of the notebook in JupyterLab, until Ctrl-C")
    verb.add_argument("--no-browser", action="store_true", help="only print the address")
    options = parser.parse_args()
    if options.verb == "open":
        from level1_notebook import open_notebook

        open_notebook.open_lab(read_settings(), browser=not options.no_browser)
        return
    with step("Load the libraries"):
        from level1_notebook import run
    run.main()
