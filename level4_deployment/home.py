"""Level 4's settings: it has a tracking store, a registry and a Prefect server of its own, made of level 3's code."""

import os

from level3_training_pipeline import quiet
from shared.settings import Settings, read_settings


def enter() -> Settings:
    """Read the settings, and set the libraries up, for this process and those that it starts."""
    os.environ["MLOPS_WITHIN"] = "level4"
    settings = read_settings()
    quiet.set_up_libraries(settings)
    return settings
