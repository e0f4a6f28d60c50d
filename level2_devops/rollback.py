"""`python -m level2_devops.rollback`: switch back to the release that served before the current one."""

import argparse

from level2_devops.release.pipeline import roll_back
from shared.console import console
from shared.errors import command
from shared.settings import read_settings, user


def main() -> None:
    """Roll back by one release."""
    parser = argparse.ArgumentParser(prog="python -m level2_devops.rollback", description=__doc__)
    parser.add_argument("--note", default="", help="why, for the history")
    options = parser.parse_args()
    back = roll_back(read_settings(), who=user(), note=options.note)
    switched = "no service runs" if back.switched_in is None else f"the service switched in {back.switched_in:.1f} s"
    console.print(f"Release {back.version} is current again after {back.seconds:.1f} s; {switched}.")


if __name__ == "__main__":
    command(main)
