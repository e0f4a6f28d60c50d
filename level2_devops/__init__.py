"""Level 2, DevOps without MLOps: features, model, service and releases. This front door is all that others import."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from level2_devops.features import CATEGORIES, NUMBERS, features
from level2_devops.release import Release, candidate, release, roll_back
from level2_devops.store import ReleaseError
from level2_devops.traffic import traffic
from level2_devops.worker import address_of, open_socket

if TYPE_CHECKING:
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
    from level2_devops.request import Flight, as_table

__all__ = [
    "CATEGORIES",
    "NUMBERS",
    "SEED",
    "TRUSTED_TYPES",
    "Card",
    "Flight",
    "ModelError",
    "Release",
    "ReleaseError",
    "address_of",
    "as_table",
    "build_model",
    "candidate",
    "features",
    "fit",
    "fit_features",
    "load",
    "open_socket",
    "predict",
    "predict_features",
    "release",
    "roll_back",
    "save",
    "traffic",
]
_OF_REQUESTS = {"Flight", "as_table"}


def __getattr__(name: str) -> Any:
    """Import model and requests when first asked for: they take seconds, and most commands need neither."""
    if name not in __all__:
        raise AttributeError(f"level2_devops has no {name}")
    room = "request" if name in _OF_REQUESTS else "model"
    return getattr(import_module(f"level2_devops.{room}"), name)
