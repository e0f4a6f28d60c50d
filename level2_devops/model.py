"""The model: a stock scikit-learn pipeline that is trained, saved without pickle, loaded and used to predict."""

from dataclasses import asdict
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import skops.io
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder
from threadpoolctl import ThreadpoolController

from level2_devops.features import CATEGORIES, NUMBERS, features
from shared.artefacts import MODEL_CARD, MODEL_FILE
from shared.errors import UserError
from shared.files import StateError, read_json, write_json

SEED = 2013
# The only type that a model file may hold besides those that skops trusts; fixed here, never read from a file.
TRUSTED_TYPES = ["sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"]


class ModelError(UserError):
    """A model file that is missing, damaged or not trusted."""


@dataclass(frozen=True, config={"extra": "forbid", "strict": True})
class ModelCard:
    """What a service must know about a model. base_rate: share late among the `rows` flights it was trained on."""

    base_rate: float
    rows: int
    trained_as_of: str  # YYYY-MM-DD

    def __post_init__(self) -> None:
        """Refuse a base rate that is no probability, because the service answers with it."""
        if not 0 <= self.base_rate <= 1:
            raise ValueError(f"base_rate is {self.base_rate}; it must lie within [0, 1]")


def build_model(**parameters: Any) -> Pipeline:
    """An unfitted pipeline: categories to codes (-1 when unknown), then boosted trees with `parameters`.

    The seed is SEED, unless `parameters` have another random_state.
    """
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, dtype=np.float32)
    columns = ColumnTransformer([("codes", codes, CATEGORIES)], remainder="passthrough")
    trees = HistGradientBoostingClassifier(**{"random_state": SEED, **parameters})
    return Pipeline([("columns", columns), ("trees", trees)])


def train(known: pd.DataFrame, today: date, folder: Path, **parameters: Any) -> Path:
    """Fit a model on labelled flights and save it with its card into `folder`; returns the folder."""
    card = ModelCard(base_rate=float(known["late"].mean()), rows=len(known), trained_as_of=str(today))
    save(fit(known, **parameters), card, folder)
    return folder


def fit(flights: pd.DataFrame, **parameters: Any) -> Pipeline:
    """Fit on labelled flights."""
    return fit_features(features(flights), flights["late"], **parameters)


def predict(model: Pipeline, flights: pd.DataFrame) -> NDArray[np.float64]:
    """(n,) probabilities of arriving 15 or more minutes late."""
    return predict_features(model, features(flights))


def fit_features(table: pd.DataFrame, late: pd.Series, **parameters: Any) -> Pipeline:
    """Fit on (n, 29) features, on one thread: faster on shared cores, and the same bits every time."""
    with _threads().limit(limits=1, user_api="openmp"):
        return build_model(**parameters).fit(table, late)


def predict_features(model: Pipeline, table: pd.DataFrame) -> NDArray[np.float64]:
    """(n,) probabilities for (n, 29) features."""
    with _threads().limit(limits=1, user_api="openmp"):
        return model.predict_proba(table)[:, 1]


@cache
def _threads() -> ThreadpoolController:
    """The thread pools, looked up once because that takes milliseconds."""
    return ThreadpoolController()


def save(model: Pipeline, card: ModelCard, folder: Path) -> None:
    """Write the model file and its card into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    skops.io.dump(model, folder / MODEL_FILE)
    write_json(folder / MODEL_CARD, asdict(card))


def load(folder: Path) -> tuple[Pipeline, ModelCard]:
    """Read what `save` wrote; raises ModelError, and creates no object of a type that is not trusted."""
    try:
        card = read_json(folder / MODEL_CARD, ModelCard, "train again.")
        model = skops.io.load(folder / MODEL_FILE, trusted=TRUSTED_TYPES)
        trained_on, ours = list(model.feature_names_in_), CATEGORIES + NUMBERS
    except StateError as error:
        raise ModelError(str(error)) from error
    except Exception as error:  # a damaged zip, an untrusted type, no file: each layer raises its own exception
        raise ModelError(
            f"the model in {folder} cannot be loaded: {type(error).__name__}: {error}. Remedy: train again."
        ) from error
    if trained_on != ours:
        unlike = [f"{'+-'[name in ours]}{name}" for name in sorted({*trained_on} ^ {*ours})]
        raise ModelError(
            f"the model in {folder} was trained on other columns than the code has: "
            f"{', '.join(unlike) or 'the same in another order'} (+: only the model's, -: only the code's). "
            "Remedy: train again."
        )
    return model, card


def known_categories(model: Pipeline) -> dict[str, set[str]]:
    """The codes of each category in the model's training data."""
    codes = model.named_steps["columns"].named_transformers_["codes"]
    return {name: set(values) for name, values in zip(CATEGORIES, codes.categories_, strict=True)}
