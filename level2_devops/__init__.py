"""Level 2, DevOps without MLOps: features, model, service and releases. This front door is all that others import."""

from level2_devops.features import CATEGORIES, NUMBERS, features
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
    "build_model",
    "features",
    "fit",
    "fit_features",
    "load",
    "predict",
    "predict_features",
    "save",
]
