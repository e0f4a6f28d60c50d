"""Tuning: Optuna proposes parameters, and later flights validate them; several trials run at once."""

import os
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import optuna
import pandas as pd
from pydantic.dataclasses import dataclass

from level2_devops.features import CATEGORIES, NUMBERS
from level2_devops.model import SEED, fit_features, predict_features
from level3_training_pipeline.pipeline.data import windows
from shared.console import console
from shared.score import Score, score

BATCH = 4  # trials proposed together: a constant, so that the number of cores cannot change the result
START = {  # the first trial: slow, regular trees, from the middle of the search space
    "learning_rate": 0.08,
    "max_iter": 160,
    "max_leaf_nodes": 12,
    "min_samples_leaf": 400,
    "l2_regularization": 10.0,
    "max_features": 0.4,
}


@dataclass(frozen=True, config={"extra": "forbid"})
class Trial:
    """One set of parameters and its score on the validation flights; None if it was the only trial."""

    number: int
    parameters: dict[str, Any]
    score: Score | None


def propose(trial: optuna.Trial) -> dict[str, Any]:
    """The search space: slow, regular trees, which stay good for longer than the library's defaults."""
    return {
        "learning_rate": trial.suggest_float("learning_rate", 0.06, 0.12, log=True),
        "max_iter": trial.suggest_int("max_iter", 100, 160, step=20),
        "max_leaf_nodes": trial.suggest_int("max_leaf_nodes", 8, 16),
        "min_samples_leaf": trial.suggest_int("min_samples_leaf", 200, 1000, log=True),
        "l2_regularization": trial.suggest_float("l2_regularization", 1, 100, log=True),
        "max_features": trial.suggest_float("max_features", 0.3, 0.6),
    }


def report_outside(first: optuna.Trial) -> None:
    """Print which parameters of START, the first trial, lie outside the search space: it is tried all the same."""
    for name, space in first.distributions.items():
        low, high = getattr(space, "low", START[name]), getattr(space, "high", START[name])
        if not low <= START[name] <= high:
            console.print(f"  START has {name} {START[name]:g}, outside the search space: {low:g} to {high:g}")


def tune(table: pd.DataFrame, now: pd.Timestamp, trials: int, report: Callable[[Trial], None]) -> Trial:
    """Run `trials` trials, call `report` after each, and return the best; the same inputs give the same best.

    A single trial is START, without a fit: there is nothing to choose from, and the evaluation scores it later.
    """
    if trials == 1:
        only = Trial(0, START, None)
        report(only)
        return only
    fit_on, validate_on, _, _ = windows(table, now)

    def run(proposed: tuple[optuna.Trial, dict[str, Any]]) -> tuple[float, Trial]:
        model = fit_features(fit_on[CATEGORIES + NUMBERS], fit_on["late"], **proposed[1])
        probability = predict_features(model, validate_on[CATEGORIES + NUMBERS])
        scored = score(validate_on["late"], probability)
        return scored.log_loss, Trial(proposed[0].number, proposed[1], scored)

    def ask() -> tuple[optuna.Trial, dict[str, Any]]:
        trial = study.ask()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a START that lies outside: it is reported in our words
            return trial, propose(trial)

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        sampler=optuna.samplers.TPESampler(seed=SEED, n_startup_trials=BATCH, constant_liar=True)
    )
    study.enqueue_trial(START)
    done: list[tuple[float, Trial]] = []
    with ThreadPoolExecutor(min(BATCH, os.cpu_count() or 1)) as pool:
        while len(done) < trials:
            asked = [ask() for _ in range(min(BATCH, trials - len(done)))]
            if not done:
                report_outside(asked[0][0])
            for (trial, _), result in zip(asked, pool.map(run, asked), strict=True):
                study.tell(trial, result[0])
                report(result[1])
                done.append(result)
    return min(done, key=lambda result: result[0])[1]
