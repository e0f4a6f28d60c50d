"""The settings that a user can make in the environment, and the folders where the levels keep their state."""

import getpass
import os
import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pandas as pd

from shared.errors import UserError

NEW_YORK = "America/New_York"
PROJECT = Path(__file__).resolve().parent.parent
FIRST_TODAY, LAST_TODAY = date(2013, 3, 1), date(2014, 1, 1)


class SettingError(UserError):
    """A setting with an impossible value; the message says the value and what is allowed."""


@dataclass(frozen=True)
class Settings:
    """The settings, each from a variable of the environment.

    today: models may use labels known before this day begins in New York (`TODAY`).
    data: the folder of the raw tables (`FLIGHTS_DATA`), or None for those of the installed package.
    state: the folder of everything that the levels make (`MLOPS_STATE`).
    workspace: the folder inside `state` in which the levels work (`MLOPS_WORKSPACE`), or nothing for `state` itself.
        Level 5 sets it to `level5`, so that its level 3 and level 4 have a registry and a platform of their own.
    """

    today: date
    data: Path | None
    state: Path
    workspace: str = ""

    @property
    def now(self) -> pd.Timestamp:
        """The instant at which `today` begins in New York, in UTC."""
        return pd.Timestamp(self.today, tz=NEW_YORK).tz_convert("UTC")

    def level(self, name: str) -> Path:
        """The state folder of one level, made if it does not exist; all workspaces have one `shared`.

        Raises SettingError where it cannot be made or written, as in a read-only checkout.
        """
        outside = name in (self.workspace, "shared")
        return self.writable(self.state / name if outside else self.state / self.workspace / name)

    def writable(self, folder: Path) -> Path:
        """A folder of the state, made if it does not exist; raises SettingError where it cannot be made or written."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            writable = os.access(folder, os.W_OK)
        except OSError:
            writable = False
        if not writable:
            raise SettingError(f"{folder} cannot be written. Remedy: MLOPS_STATE= a folder of your own.")
        return folder

    def inside(self, folder: Path) -> Path:
        """A folder that is to be removed or renamed; raises SettingError unless it lies inside the state folder."""
        if self.state.resolve() not in folder.resolve().parents:
            raise SettingError(f"{folder} is not inside {self.state}. Remedy: remove or rename it by hand.")
        return folder


def read_settings() -> Settings:
    """Read the settings from the environment; raises SettingError."""
    data = os.environ.get("FLIGHTS_DATA") or None
    return Settings(
        today=parse_today(os.environ.get("TODAY") or "2013-04-01"),
        data=Path(data).resolve() if data else None,
        state=Path(os.environ.get("MLOPS_STATE") or PROJECT / ".state").resolve(),
        workspace=_workspace(os.environ.get("MLOPS_WORKSPACE") or ""),
    )


def _workspace(name: str) -> str:
    if not re.fullmatch(r"[a-z0-9-]*", name):
        remedy = "Remedy: small letters, digits and hyphens, for example MLOPS_WORKSPACE=demo."
        raise SettingError(f"MLOPS_WORKSPACE={name!r} cannot name a folder of the state. {remedy}")
    return name


def user() -> str:
    """The user's name for the records, or the user's number where there is no name, as in some containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # which one depends on the Python version and the platform
        return f"user {os.getuid()}" if hasattr(os, "getuid") else "unknown"


def parse_today(text: str) -> date:
    """The day of 2013 in `text`, written as YYYY-MM-DD; raises SettingError."""
    try:
        today = date.fromisoformat(text)
    except ValueError as error:
        raise SettingError(
            f"TODAY={text!r} is not a date. Remedy: write it as YYYY-MM-DD, for example TODAY=2013-07-01."
        ) from error
    if not FIRST_TODAY <= today <= LAST_TODAY:
        raise SettingError(
            f"TODAY={today} is outside {FIRST_TODAY} … {LAST_TODAY}: the data are of 2013, and a model needs two "
            "months to learn from. Remedy: a day within, for example TODAY=2013-07-01."
        )
    return today
