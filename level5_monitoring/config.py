"""Level 5's settings: it runs the earlier levels' code in a store, a registry and a platform of its own."""

from contextlib import AbstractContextManager
from pathlib import Path

import sqlalchemy as sa

from level4_deployment import config as level4_config
from level4_deployment import prediction_log
from level5_monitoring import tables
from shared.settings import Settings

LEVEL = "level5"


def configure() -> Settings:
    """Read the settings, and configure the libraries, for this process and those that it starts."""
    return level4_config.configure(LEVEL)


def own(settings: Settings) -> Path:
    """The folder of this level's own files: reference, reports, page."""
    return settings.level(LEVEL)


def platform(settings: Settings) -> Path:
    """The folder of the monitored platform: its log and its routes."""
    return settings.level("level4")


def open_log(settings: Settings) -> AbstractContextManager[sa.Engine]:
    """That platform's prediction log, with this level's tables, while the block runs; raises LogError."""
    return tables.open_log(prediction_log.url_of(platform(settings)))
