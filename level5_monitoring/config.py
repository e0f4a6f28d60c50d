"""Level 5's settings: the earlier levels' code works in a store, a registry and a platform of this level's own."""

from pathlib import Path

import sqlalchemy as sa

from level4_deployment import config as level4_config
from level4_deployment import prediction_log
from shared.settings import Settings

AT = "level5"


def configure() -> Settings:
    """Read the settings, and set the libraries up, for this process and those that it starts."""
    return level4_config.configure(AT)


def own(settings: Settings) -> Path:
    """Where this level keeps what is its own: reference, reports, page."""
    return settings.level(AT)


def platform(settings: Settings) -> Path:
    """Where the platform that it watches keeps its log and its routes."""
    return settings.level("level4")


def open_log(settings: Settings) -> sa.Engine:
    """That platform's log, which holds this level's tables as well."""
    return prediction_log.open_log(prediction_log.url_of(platform(settings)))
