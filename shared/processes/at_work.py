"""Which commands work in a level's state now: each has a file while it runs; that of a killed one counts no more."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from uuid import uuid4

from filelock import FileLock, Timeout

from shared.errors import UserError
from shared.files import read_json, write_json
from shared.processes.process_identity import number_of, still_runs, this_process
from shared.settings import Settings

CTRL_C = "wait until it has ended, or end it with Ctrl-C in its terminal"
FOLDER = ".at-work"  # in the state folder; below it a folder for each level or workspace that was ever used


@dataclass(frozen=True)
class AtWork:
    """A command that runs. process: its identity; since: when it began, by this machine's clock; end: how it ends."""

    command: str
    process: str
    since: str
    end: str = CTRL_C

    def __str__(self) -> str:
        """For people."""
        return f"{self.command} (process {number_of(self.process)}, since {self.since})"


@contextmanager
def at_work(settings: Settings, level: str, command: str, *, once: bool = False, alone: bool = False) -> Iterator[None]:
    """Be at work in a level's state, or in the workspace that the settings name, while the block runs.

    once: not beside another one of this command. alone: with no other command here when it begins. Raises UserError
    that names the others.
    """
    place = settings.workspace or level
    with looking(settings):
        others = [one for one in present(settings, place) if alone or one.command == command]
        if others and (once or alone):
            raise busy(place, others)
        mine = put_on_record(settings, place, command, this_process())
    try:
        yield
    finally:
        with looking(settings):  # nobody reads it meanwhile
            mine.unlink(missing_ok=True)


def put_on_record(settings: Settings, place: str, command: str, process: str, end: str = CTRL_C) -> Path:
    """The file that says that a process is at work, until it has ended; call it while `looking`."""
    file = settings.state / FOLDER / place / f"{uuid4().hex}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    since = datetime.now().strftime("%H:%M:%S")  # noqa: DTZ005 - as the user's clock shows it
    write_json(file, asdict(AtWork(command, process, since, end)))
    return file


def looking(settings: Settings) -> FileLock:
    """Held while one looks who is at work: nobody begins meanwhile."""
    return FileLock(settings.writable(settings.state / FOLDER) / "lock")


def places(settings: Settings) -> list[str]:
    """The levels and workspaces in which a command was ever at work."""
    return sorted(folder.name for folder in (settings.state / FOLDER).glob("*/"))


def present(settings: Settings, place: str) -> list[AtWork]:
    """The commands at work in a level or workspace, without this one; call it while `looking`."""
    files = (settings.state / FOLDER / place).glob("*.json")
    found = {file: read_json(file, AtWork, f"if no command runs, remove {file}") for file in files}
    for file, one in found.items():
        if not still_runs(one.process):
            file.unlink()
    return [one for file, one in found.items() if file.exists() and one.process != this_process()]


def busy(place: str, others: list[AtWork]) -> UserError:
    """The error that these commands are at work in a level or workspace."""
    remedies = "; ".join(dict.fromkeys(one.end for one in others))
    return UserError(f"at work in {place} already: {', '.join(map(str, others))}. Remedy: {remedies}.")


def is_held(lock: FileLock) -> bool:
    """Whether a process holds this lock: while one looks, nobody else can take it."""
    try:
        with lock.acquire(timeout=0):
            return False
    except Timeout:
        return True
