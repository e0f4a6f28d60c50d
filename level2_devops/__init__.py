"""Level 2, DevOps without MLOps: features, model, service and releases. This front door is all that others import."""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from level2_devops.features import CATEGORIES, NUMBERS, features
    from level2_devops.limits import Limits
    from level2_devops.model import (
        SEED,
        TRUSTED_TYPES,
        Card,
        ModelError,
        build_model,
        fit,
        fit_features,
        load,
        predict,
        predict_features,
        save,
    )
    from level2_devops.observe import LATENCY_BUCKETS, log_as_json
    from level2_devops.release import Release, candidate, release, roll_back
    from level2_devops.request import MOST_FLIGHTS, Flight, as_table, parse
    from level2_devops.server import Server
    from level2_devops.store import ReleaseError
    from level2_devops.traffic import traffic
    from level2_devops.worker import address_of, open_socket

__all__ = [
    "CATEGORIES",
    "LATENCY_BUCKETS",
    "MOST_FLIGHTS",
    "NUMBERS",
    "SEED",
    "TRUSTED_TYPES",
    "Card",
    "Flight",
    "Limits",
    "ModelError",
    "Release",
    "ReleaseError",
    "Server",
    "address_of",
    "as_table",
    "build_model",
    "candidate",
    "features",
    "fit",
    "fit_features",
    "load",
    "log_as_json",
    "open_socket",
    "parse",
    "predict",
    "predict_features",
    "release",
    "roll_back",
    "save",
    "traffic",
]
_ROOMS = {  # what is not named here is the model's
    "CATEGORIES": "features",
    "LATENCY_BUCKETS": "observe",
    "Limits": "limits",
    "MOST_FLIGHTS": "request",
    "NUMBERS": "features",
    "Flight": "request",
    "Release": "release",
    "ReleaseError": "store",
    "Server": "server",
    "address_of": "worker",
    "as_table": "request",
    "candidate": "release",
    "features": "features",
    "log_as_json": "observe",
    "open_socket": "worker",
    "parse": "request",
    "release": "release",
    "roll_back": "release",
    "traffic": "traffic",
}


def __getattr__(name: str) -> Any:
    """Open a room when something in it is first asked for: they take seconds, and most commands need few of them."""
    if name not in __all__:
        raise AttributeError(f"level2_devops has no {name}")
    return getattr(import_module(f"level2_devops.{_ROOMS.get(name, 'model')}"), name)


class _Door(ModuleType):
    """Three rooms bear the name of a function in them: their import must not put them in the function's place."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in __all__ and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Door
