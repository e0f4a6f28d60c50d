"""Level 4's settings: it has a tracking store, a registry and a Prefect server of its own, made of level 3's code."""

import os

from level3_training_pipeline import library_setup
from shared.settings import Settings, read_settings


def configure(level: str = "level4") -> Settings:
    """Read the settings, and set the libraries up, for this process and those that it starts.

    level: whose state all earlier levels' code works in; a process that a later level has started stays in that one's.
    """
    os.environ.setdefault("MLOPS_WORKSPACE", level)
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # of onnxruntime, for this process and those that it starts
    settings = read_settings()
    library_setup.set_up_libraries(settings)
    return settings
