"""Two candidates that should not win: one that learnt too little, and one whose evaluation looks far too good."""

from collections.abc import Callable
from typing import Any

import mlflow
import pandas as pd
from mlflow import MlflowClient

from level2_devops.features import CATEGORIES, NUMBERS, features
from level2_devops.model import ModelCard, fit_features, predict_features
from level3_training_pipeline.pipeline import data, tune
from level3_training_pipeline.tracking import lineage, mlflow_runs, registry
from shared.data.flights import load_flights
from shared.data.split import history
from shared.score import by_slice, score
from shared.settings import Settings

Change = Callable[[pd.DataFrame], pd.DataFrame]
START = tune.START
TOO_FEW_TREES = {**START, "max_iter": 10}


def leak(flights: pd.DataFrame) -> pd.DataFrame:
    """The mistake that every team makes once: a mean over the whole day, the flight's own delay among the others.

    Offline the column is there for every flight, so every evaluation praises it. Live, the day is not over yet.
    """
    day = flights["scheduled_departure"].dt.floor("D")
    delay = flights.groupby(["dest", day])["arrival_delay"].transform("mean")
    return flights.assign(dest_delay_12h=delay)


def register_by_hand(
    client: MlflowClient, settings: Settings, change: Change, parameters: dict[str, Any], cause: str
) -> registry.Version:
    """Train as of today on changed flights, evaluate on flights changed alike, and register: as a hurried hand does."""
    known = change(history(load_flights(settings), settings.now).reset_index(drop=True))
    table = pd.concat([known[data.KEPT], features(known)], axis=1)
    inputs = CATEGORIES + NUMBERS
    _, _, fit_on, test = tune.windows(table, settings.now)
    chance = predict_features(fit_features(fit_on[inputs], fit_on["late"], **parameters), test[inputs])
    tags = {"today": str(settings.today), "cause": cause, "commit": lineage.commit(), "training_key": cause}
    with mlflow_runs.tracked(cause, {"kind": "by hand", **tags}) as run:
        mlflow.log_params(parameters)
        result = score(test["late"], chance)
        mlflow.log_metrics({f"test_{name}": value for name, value in result.as_dict().items()})
        days = by_slice(test.assign(day=test["flight_id"].str[:10]), chance, "day")
        mlflow.log_text(days.to_csv(), "by_day.csv")
        model = fit_features(table[inputs], table["late"], **parameters)
        card = ModelCard(float(table["late"].mean()), len(table), str(settings.today))
        uri = registry.log_model(model, card, table[inputs].head(3))
        return registry.register(client, uri, run.info.run_id, tags)
