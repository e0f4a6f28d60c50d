"""Level 3, automated training: pipeline, tracking, registry. This front door is all that others import."""

from importlib import import_module
from types import ModuleType

# Whole rooms, opened when first asked for: mlflow and prefect take seconds, and most commands need only one of them.
__all__ = [
    "data",
    "flow",
    "lineage",
    "prefect_server",
    "quiet",
    "registry",
    "run_flow",
    "schedule",
    "tracking",
    "tune",
]


def __getattr__(name: str) -> ModuleType:
    """Import a room when it is first asked for."""
    if name not in __all__:
        raise AttributeError(f"level3_training_pipeline has no {name}")
    return import_module(f"{__name__}.{name}")
