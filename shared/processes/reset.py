"""`make clean` and `make reset LEVEL=n`: remove what the levels have made, unless a command is at work there.

`python -m shared.processes.reset` removes all of it, `python -m shared.processes.reset 4` what level 4 has made, and
`python -m shared.processes.reset demo` what the live demo has.
"""

import shutil
import sys
from pathlib import Path

from shared.console import console, step
from shared.environment import begin
from shared.errors import UserError, command
from shared.processes.at_work import busy, looking, places, present
from shared.settings import Settings, read_settings

DEMO = "demo"  # the live demo's workspace
LEVELS = [f"level{number}" for number in range(1, 6)]
BEFORE = "-before"  # a level's last run, kept until the next one


def remove(settings: Settings, wanted: list[str]) -> list[str]:
    """Remove these folders of the state; returns those that were there. Raises UserError while a command is at work."""
    with looking(settings):
        for place in wanted:
            if others := present(settings, place):
                raise busy(place, others)
        found = [folder for place in wanted if (folder := settings.inside(settings.state / place)).exists()]
        for folder in found:
            shutil.rmtree(folder)
    return [folder.name for folder in found]


def set_aside(settings: Settings, folder: Path) -> None:
    """Rename a folder to NAME-before, and remove the one that had this name; for a command that is alone there."""
    before = settings.inside(folder.with_name(folder.name + BEFORE))
    if before.exists():
        shutil.rmtree(before)
    settings.inside(folder).rename(before)


def main() -> None:
    """Remove one level's results, or all."""
    settings = read_settings()
    match sys.argv[1:]:
        case []:
            wanted = ["shared", *LEVELS, *(level + BEFORE for level in LEVELS), DEMO, *places(settings)]
        case [number] if f"level{number}" in LEVELS:
            wanted = [f"level{number}", f"level{number}{BEFORE}"]
        case [place] if place == DEMO:
            wanted = [DEMO]
        case words:
            raise UserError(
                f"LEVEL={' '.join(words)} is no level. Remedy: one of 1 to 5, or demo for the live demo of make up: "
                "make reset LEVEL=4, for example."
            )
    with step("Remove the results"):
        removed = remove(settings, list(dict.fromkeys(wanted)))
    console.print(f"Removed from {settings.state}: {', '.join(removed) or 'nothing'}.")


if __name__ == "__main__":
    begin()
    command(main)
