"""Level 4, automated deployment: models on a platform, A/B tests. This front door is all that others import."""

from importlib import import_module
from types import ModuleType

# Whole rooms, opened when first asked for: some take seconds, and most commands need only a few of them.
__all__ = [
    "access",
    "client",
    "experiments",
    "explain",
    "flow",
    "follow",
    "gates",
    "guardrails",
    "home",
    "log",
    "outcomes",
    "package",
    "plan",
    "process",
    "publish",
    "sequential",
    "serve",
    "served",
    "stream",
]


def __getattr__(name: str) -> ModuleType:
    """Import a room when it is first asked for."""
    if name not in __all__:
        raise AttributeError(f"level4_deployment has no {name}")
    return import_module(f"{__name__}.{name}")
