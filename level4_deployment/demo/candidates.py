"""Candidates that must not win: a damaged package, a model of ten trees, and a model trained with a leaking feature."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow import MlflowClient
from mlflow.utils.file_utils import local_file_uri_to_path

from level2_devops.features import CATEGORIES, NUMBERS, features
from level2_devops.model import ModelCard, fit_features, predict_features
from level3_training_pipeline.orchestration import prefect_server, run_flow
from level3_training_pipeline.pipeline import data, tune
from level3_training_pipeline.tracking import lineage, mlflow_runs, registry
from level4_deployment.control.client import RefusedError
from level4_deployment.control.registry_client import ARTEFACTS
from level4_deployment.delivery.flow import deployment
from level4_deployment.delivery.gates import GateError
from level4_deployment.delivery.packaging import publish
from shared.console import console, in_one_line, step
from shared.data.flights import load_flights
from shared.data.split import history
from shared.score import by_slice, score
from shared.settings import Settings

Change = Callable[[pd.DataFrame], pd.DataFrame]
START = tune.START
TOO_FEW_TREES = {**START, "max_iter": 10}


def leak(flights: pd.DataFrame) -> pd.DataFrame:
    """A common mistake: a mean over the whole day, which contains the flight's own delay.

    In the history the column is complete for every flight, so every offline evaluation looks better. On live traffic
    the day is not over yet, and the column has the values that were known an hour before departure.
    """
    day = flights["scheduled_departure"].dt.floor("D")
    delay = flights.groupby(["dest", day])["arrival_delay"].transform("mean")
    return flights.assign(dest_delay_12h=delay)


def register_by_hand(
    client: MlflowClient, settings: Settings, change: Change, parameters: dict[str, Any], cause: str
) -> registry.Version:
    """Train and evaluate on flights that went through `change`, and register the model without the pipeline."""
    known = change(history(load_flights(settings), settings.now).reset_index(drop=True))
    table = pd.concat([known[data.KEPT], features(known)], axis=1)
    inputs = CATEGORIES + NUMBERS
    _, _, fit_on, test = data.windows(table, settings.now)
    chance = predict_features(fit_features(fit_on[inputs], fit_on["late"], **parameters), test[inputs])
    tags = {
        "today": str(settings.today),
        "cause": cause,
        "commit": lineage.commit(),
        "code_digest": lineage.code_digest(),
        "training_key": cause,
    }
    with mlflow_runs.tracked(
        cause, "Trained without the pipeline, and evaluated as it does.", {"kind": "by hand", **tags}
    ) as run:
        mlflow.log_params(parameters)
        result = score(test["late"], chance)
        mlflow.log_metrics({f"test_{name}": value for name, value in result.as_dict().items()})
        days = by_slice(test.assign(day=test["flight_id"].str[:10]), chance, "day")
        mlflow.log_text(days.to_csv(), "by_day.csv")
        model = fit_features(table[inputs], table["late"], **parameters)
        card = ModelCard(float(table["late"].mean()), len(table), str(settings.today))
        uri = registry.log_model(model, card, table[inputs].head(3))
        return registry.register(client, uri, run.info.run_id, tags)


def try_bad_candidates(
    server: prefect_server.PrefectServer, client: MlflowClient, settings: Settings, home: Path
) -> dict[str, str]:
    """Deploy a damaged package and a worse model; returns by candidate why it was refused, or "" if it was not."""
    with step("Train a model of ten trees, register and package it"):
        worse = register_by_hand(client, settings, lambda flights: flights, TOO_FEW_TREES, "ten trees only")
        publish(client, worse)
    file = Path(local_file_uri_to_path(client.get_run(worse.run_id).info.artifact_uri)) / ARTEFACTS / "model.onnx"
    intact = file.read_bytes()
    file.write_bytes(intact[:-1] + bytes([intact[-1] ^ 1]))
    refusals = {"one bit of its package changed": _refusal(server, worse.number, home, "one bit changed")}
    file.write_bytes(intact)
    return refusals | {"ten trees": _refusal(server, worse.number, home, "ten trees")}


def deploy_leaky(server: prefect_server.PrefectServer, client: MlflowClient, settings: Settings, home: Path) -> int:
    """A person registers a model with a leak, and deploys it; returns its number. The gates cannot see the leak."""
    with step(f"A person registers a model of {settings.today} that evaluates too well"):
        number = register_by_hand(client, settings, leak, START, "a mean over the whole day").number
    with in_one_line(f"Deploy version {number}"):
        gates = run_flow.run_flow(server, deployment, number, home).report.gates
    console.print(f"  passes all gates; {gates[1].name}: {gates[1].seen}")
    return number


def _refusal(server: prefect_server.PrefectServer, number: int, home: Path, which: str) -> str:
    """Why deployment refuses a version before it reaches the platform; "" if the version passes all gates."""
    try:
        with in_one_line(f"Deploy version {number}, {which}"):
            run_flow.run_flow(server, deployment, number, home)
    except GateError as error:
        return error.reason
    except RefusedError:  # by the platform, where an experiment is under way: the version has passed the gates
        pass
    return ""
