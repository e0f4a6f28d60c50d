"""Level 2, DevOps without MLOps: features, model, service and releases. This front door is all that others import."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from level2_devops.features import CATEGORIES, NUMBERS, features
from level2_devops.release import Release, candidate, release, roll_back
from level2_devops.store import ReleaseError
from level2_devops.traffic import traffic
from level2_devops.worker import address_of, open_socket

if TYPE_CHECKING:
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
    from level2_devops.request import MOST_FLIGHTS, Flight, as_table, parse
    from level2_devops.server import Server

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
_ROOMS = {
    "LATENCY_BUCKETS": "observe",
    "Limits": "limits",
    "MOST_FLIGHTS": "request",
    "Flight": "request",
    "Server": "server",
    "as_table": "request",
    "log_as_json": "observe",
    "parse": "request",
}


def __getattr__(name: str) -> Any:
    """Open a room when something in it is first asked for: the model takes seconds, and most commands need none."""
    if name not in __all__:
        raise AttributeError(f"level2_devops has no {name}")
    return getattr(import_module(f"level2_devops.{_ROOMS.get(name, 'model')}"), name)
