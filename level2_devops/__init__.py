"""Level 2, DevOps without MLOps: features, model, service and releases. This front door is all that others import."""

from level2_devops.features import CATEGORIES, NUMBERS, features
from level2_devops.model import Card, ModelError, build_model, fit, load, predict, save

__all__ = ["CATEGORIES", "NUMBERS", "Card", "ModelError", "build_model", "features", "fit", "load", "predict", "save"]
