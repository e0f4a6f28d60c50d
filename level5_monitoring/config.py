"""Level 5's settings: it runs the earlier levels' code in a store, a registry and a platform of its own."""

import os
from contextlib import AbstractContextManager
from pathlib import Path

import sqlalchemy as sa

from level4_deployment import config as level4_config
from level4_deployment import prediction_log
from level5_monitoring import tables
from shared.settings import SettingError, Settings

LEVEL = "level5"


def configure() -> Settings:
    """Read the settings, and configure the libraries, for this process and those that it starts."""
    return level4_config.configure(LEVEL)


def faults() -> bool:
    """Whether faults are put into the live year (`FAULTS`); raises SettingError for another value than all or none."""
    wanted = os.environ.get("FAULTS") or "all"
    if wanted not in ("all", "none"):
        raise SettingError(f"FAULTS={wanted!r} is no year. Remedy: FAULTS=none for a clean one, or leave it out.")
    return wanted == "all"


def own(settings: Settings) -> Path:
    """The folder of this level's own files: reference, reports, page."""
    return settings.level(LEVEL)


def platform(settings: Settings) -> Path:
    """The folder of the monitored platform: its log and its routes."""
    return settings.level("level4")


def open_log(settings: Settings) -> AbstractContextManager[sa.Engine]:
    """That platform's prediction log, with this level's tables, while the block runs; raises LogError."""
    return tables.open_log(prediction_log.url_of(platform(settings)))
