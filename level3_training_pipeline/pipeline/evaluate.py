"""Evaluate the candidate beside two baselines and the champion, on the same flights, also by slice."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from level2_devops.features import CATEGORIES, NUMBERS
from level2_devops.model import fit_features, predict_features
from level3_training_pipeline.pipeline.data import windows
from shared.data.schema import DataError
from shared.score import Score, by_slice, calibration, log_losses, score

# While versions on record allow no more: 1.5 times the best (0.27) of trainings at 15 dates of the year.
MOST_SKILL = 0.4


@dataclass(frozen=True)
class Champion:
    """The model in production, and the instant at which its history ended."""

    model: Pipeline
    now: pd.Timestamp


@dataclass(frozen=True)
class Evaluation:
    """Scores on the flights of the last 14 days, which were used neither to fit nor to tune.

    scores: by the name of the model; with `champion` only if the champion was not trained on these flights.
    slices (with `interval`), days (of departure, in New York) and calibration: of the candidate.
    """

    scores: dict[str, Score]
    slices: dict[str, pd.DataFrame]
    days: pd.DataFrame
    calibration: pd.DataFrame


def evaluate(
    table: pd.DataFrame, now: pd.Timestamp, parameters: dict[str, Any], champion: Champion | None
) -> Evaluation:
    """Fit candidate and baselines on what was known 14 days ago, and score them on the flights since then."""
    _, _, fit_on, test = windows(table, now)
    inputs = CATEGORIES + NUMBERS
    known, late = fit_on[inputs], fit_on["late"]
    with ThreadPoolExecutor(2) as side_by_side:
        trees = side_by_side.submit(fit_features, known, late, **parameters)
        line = side_by_side.submit(logistic_regression().fit, known, late)
    candidate = predict_features(trees.result(), test[inputs])
    logistic = line.result().predict_proba(test[inputs])[:, 1]
    base_rate = np.full(len(test), late.mean())
    predictions = {"candidate": candidate, "logistic regression": logistic, "base rate": base_rate}
    if champion and champion.now <= test["predicted_at"].min():
        predictions["champion"] = predict_features(champion.model, test[inputs])
    test = test.assign(day=test["flight_id"].str[:10])
    return Evaluation(
        scores={name: score(test["late"], probability) for name, probability in predictions.items()},
        slices={column: with_interval(test, candidate, column) for column in ("origin", "carrier")},
        days=by_slice(test, candidate, "day"),
        calibration=calibration(test["late"], candidate),
    )


def with_interval(test: pd.DataFrame, probability: NDArray[np.float64], column: str) -> pd.DataFrame:
    """The scores by slice, and half the width of the 95% confidence interval of each log loss (NaN for a single day).

    The units are days, because flights of one day are not independent: each day adds what its flights lose more or less
    than the slice's mean (a cluster-robust standard error; Cameron and Miller, J. Hum. Resour. 2015).
    """
    table = by_slice(test, probability, column)
    beyond = log_losses(test["late"], probability) - test[column].map(table["log_loss"]).to_numpy(float)
    by_day = pd.Series(beyond).groupby([test[column].to_numpy(), test["day"].to_numpy()]).sum()
    days, squares = by_day.groupby(level=0).size(), (by_day**2).groupby(level=0).sum()
    error = np.sqrt(days / (days - 1) * squares) / table["rows"]
    return table.assign(interval=stats.t.ppf(0.975, days - 1) * error)


def check_plausible(evaluation: Evaluation, on_record: list[float]) -> None:
    """Raise DataError if the candidate is too good to be true; on_record: the skill of each registered version.

    Skill is the share of the base rate's loss that a model saves. A feature that contains the answer saves nearly all.
    """
    losses = {name: result.log_loss for name, result in evaluation.scores.items()}
    skill = 1 - losses["candidate"] / losses["base rate"]
    limit = max(MOST_SKILL, 2 * median(on_record)) if on_record else MOST_SKILL
    if skill > limit:
        raise DataError(
            f"log loss {losses['candidate']:.4f} on the test flights is too good to be true: it saves {skill:.0%} of "
            f"the base rate's {losses['base rate']:.4f}; at most {limit:.0%} is plausible ({len(on_record)} versions "
            "are on record). Nothing was registered. Remedy: look for a feature or a label that contains the answer."
        )


def logistic_regression() -> Pipeline:
    """The simpler model that the trees must beat."""
    numbers = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    codes = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=50, dtype=np.float32)  # as the numbers
    columns = ColumnTransformer([("numbers", numbers, NUMBERS), ("codes", codes, CATEGORIES)])
    return make_pipeline(columns, LogisticRegression(C=0.1, solver="newton-cholesky"))
