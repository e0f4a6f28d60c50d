"""Level 2, DevOps without MLOps: features, model, service and releases. This front door is all that others import."""

from typing import TYPE_CHECKING, Any

from level2_devops.features import CATEGORIES, NUMBERS, features
from level2_devops.release import Release, candidate, release, roll_back
from level2_devops.store import ReleaseError

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

__all__ = [
    "CATEGORIES",
    "NUMBERS",
    "SEED",
    "TRUSTED_TYPES",
    "Card",
    "ModelError",
    "Release",
    "ReleaseError",
    "build_model",
    "candidate",
    "features",
    "fit",
    "fit_features",
    "load",
    "predict",
    "predict_features",
    "release",
    "roll_back",
    "save",
]


def __getattr__(name: str) -> Any:
    """Import the model when it is first asked for: scikit-learn takes two seconds, and most commands need none."""
    if name not in __all__:
        raise AttributeError(f"level2_devops has no {name}")
    from level2_devops import model

    return getattr(model, name)
