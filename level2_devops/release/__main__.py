"""`python -m level2_devops.release`: test, build, check, smoke-test and switch to a new release."""

import argparse
from pathlib import Path

from level2_devops.release.pipeline import release
from shared.console import console
from shared.errors import command
from shared.settings import read_settings, user


def main() -> None:
    """Release the code of this project with a trained model."""
    settings = read_settings()
    parser = argparse.ArgumentParser(prog="python -m level2_devops.release", description=main.__doc__)
    parser.add_argument("--model", type=Path, default=settings.level("level2") / "model", help="folder of the model")
    parser.add_argument("--note", default="", help="why, for the history")
    options = parser.parse_args()
    made = release(options.model, settings, who=user(), note=options.note)
    for gate, found in made.gates.items():
        console.print(f"  {gate}: {found}")
    switched = "no service runs: make serve" if made.switched_in is None else f"switched in {made.switched_in:.1f} s"
    console.print(f"Release {made.version} is current after {made.seconds:.1f} s; {switched}. It lies in {made.app}")


if __name__ == "__main__":
    command(main)
