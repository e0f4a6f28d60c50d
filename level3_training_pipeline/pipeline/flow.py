"""The training pipeline: gather → validate → features → tune → train → evaluate → register, run by Prefect."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock
from mlflow import MlflowClient
from prefect import flow, task
from prefect.client.schemas.objects import FlowRun, TaskRun
from prefect.runtime import flow_run
from prefect.states import State

from level2_devops.features import CATEGORIES, NUMBERS
from level2_devops.model import ModelCard, fit_features
from level3_training_pipeline.library_setup import make_ui
from level3_training_pipeline.pipeline import data, evaluate, record, tune
from level3_training_pipeline.pipeline.average import average
from level3_training_pipeline.pipeline.data import Snapshot
from level3_training_pipeline.pipeline.evaluate import Champion, Evaluation
from level3_training_pipeline.pipeline.tune import Trial
from level3_training_pipeline.tracking import lineage, mlflow_runs, registry
from level3_training_pipeline.tracking.registry import Version
from shared.console import bar, console, print_styled, step
from shared.errors import UserError
from shared.files import StateError, read_json, write_json
from shared.processes.children import end_with_server
from shared.settings import NEW_YORK, Settings, parse_today, read_settings

TRIALS = 6


async def worth_retrying(_task: Any, _run: TaskRun, state: State[Any]) -> bool:
    """Whether a step is tried again: not after an error that the user must fix."""
    return not isinstance(await state.aresult(raise_on_failure=False), UserError)


async def report_failure(this: Any, _run: TaskRun, state: State[Any]) -> None:
    """Print which step failed, and why; a refusal is no failure."""
    error = await state.aresult(raise_on_failure=False)
    if not (isinstance(error, UserError) and error.refusal):
        why = error.reason if isinstance(error, UserError) else state.message
        print_styled((f"step '{this.name}' failed", "red"), f": {why}")


def report_kept_tuning(flow: Any, flow_run: FlowRun, state: State[Any]) -> None:  # noqa: ARG001 - as Prefect calls it
    """Print what to do after a training that failed."""
    say(f"The tuning is kept: fix the cause and give the same command again. All runs: {make_ui()}")


def say(text: str) -> None:
    """Print a line; a function of its own, because Prefect cannot pickle a flow or a step with a console."""
    console.print(text)


def report_unchanged(version: Version) -> None:
    """Print that there is nothing to do; a function of its own, as `say`."""
    if line := console.moving.folding():  # which stands for all that its steps would print
        line.result = f"nothing has changed since version {version.number}, "
        return
    anyway = "" if read_settings().workspace else " (make level3 AGAIN=1 trains it all the same)"
    console.print(
        f"Nothing has changed since version {version.number} was trained, so it is not trained again{anyway}."
    )


RETRIED: Any = {
    "retries": 2,
    "retry_delay_seconds": [1, 5],
    "retry_condition_fn": worth_retrying,
    "on_failure": [report_failure],
}


@task(name="gather", **RETRIED)
def gather_step(settings: Settings, without: Sequence[str]) -> Snapshot:
    """The history as of today, without the days that are in doubt."""
    with step("Gather the flights"):
        return data.gather(settings, without)


@task(name="validate", **RETRIED)
def validate_step(snapshot: Snapshot) -> None:
    """Stop before training on bad data."""
    with step(f"Validate {snapshot.rows:,} flights"):
        data.validate(snapshot)


@task(name="features", **RETRIED)
def features_step(snapshot: Snapshot) -> Path:
    """The table that all later steps read; made each time, because that is faster than checking a kept one."""
    with step("Build the features"):
        return data.build_features(snapshot)


# Only the result of this step is kept: the others take seconds, and write to their own MLflow run. It is kept as JSON,
# because Prefect would load its own result by the serializer that the file names, and a pickle runs code.
# It is not retried, because each trial is recorded when it is done, and would be recorded twice.
@task(name="tune", on_failure=[report_failure])
def tune_step(snapshot: Snapshot, features: Path, trials: int, run_id: str, key: str) -> tuple[Trial, str]:
    """The best of some trials, each of which is recorded, and the MLflow run that holds them.

    After a training with this key that was cut off, its trials are used.
    """
    kept = snapshot.file.with_name(f"tuned-{key[:16]}.json")
    try:
        best, tuned_by = read_json(kept, lambda best, run_id: (Trial(**best), run_id), "give the command again")
        if mlflow_runs.runs(MlflowClient(), f"attributes.run_id = '{tuned_by}'"):  # else the store is a new one
            return best, tuned_by
    except FileNotFoundError:
        pass
    except StateError as error:
        say(f"{error.reason} The trials are run again.")
    with bar(f"Tune: {trials} trials", trials) as advance:

        def report(trial: Trial) -> None:
            record.record_trial(run_id, trial)
            advance()

        best = tune.tune(data.read(features), snapshot.now, trials, report)
    write_json(kept, {"best": asdict(best), "run_id": run_id})
    return best, run_id


@task(name="train", **RETRIED)
def train_step(snapshot: Snapshot, features: Path, parameters: dict[str, Any], mean_with: Version | None) -> str:
    """The model, fitted on all of history, saved in the tracking store; returns its URI.

    mean_with: a version with which it is averaged, if any.
    """
    with step("Train on all of history"):
        table = data.read(features)
        inputs = table[CATEGORIES + NUMBERS]
        model = fit_features(inputs, table["late"], **parameters)
        if mean_with:
            model = average(model, registry.load_version(MlflowClient(), mean_with))
        card = ModelCard(float(table["late"].mean()), len(table), snapshot.today)
        return registry.log_model(model, card, inputs.head(3))


@task(name="evaluate", **RETRIED)
def evaluate_step(
    snapshot: Snapshot, features: Path, parameters: dict[str, Any], champion: Version | None
) -> Evaluation:
    """The candidate beside baselines and champion, recorded; stops if it is too good to be true."""
    with step("Evaluate: baselines, slices, calibration, champion"):
        client, in_production = MlflowClient(), None
        if champion:
            now = pd.Timestamp(champion.tags["today"], tz=NEW_YORK)
            in_production = Champion(registry.load_version(client, champion), now)
        evaluation = evaluate.evaluate(data.read(features), snapshot.now, parameters, in_production)
        record.record_evaluation(evaluation)
        evaluate.check_plausible(evaluation, record.skills(client))
        return evaluation


@task(name="register", **RETRIED)
def register_step(settings: Settings, model_uri: str, run_id: str, tags: dict[str, str], again: bool) -> Version:  # noqa: FBT001
    """A version with its lineage; of two trainings with one key, the second finds the first one's, unless `again`."""
    with step("Register"), FileLock(settings.level("level3") / "register.lock"):
        client = MlflowClient()
        made = None if again else registry.find(client, tags["training_key"])
        return made or registry.register(client, model_uri, run_id, tags)


def training_key(snapshot: Snapshot, trials: int, mean_with: Version | None = None) -> str:
    """One digest of all that a version depends on: data, date, trials, code, environment, the version averaged with."""
    parts = [snapshot.digest, snapshot.today, str(trials), lineage.code_digest(), *lineage.environment().values()]
    parts += [mean_with.tags["model_sha256"]] if mean_with else []
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def run_name() -> str:
    """What Prefect's pages call a run."""
    return f"training as of {flow_run.parameters['today'] or read_settings().today}"


@flow(
    name="training",
    flow_run_name=run_name,
    description="Train, evaluate and register flight-delays as of a day.",
    on_failure=[report_kept_tuning],
)
def training(  # noqa: PLR0913, PLR0917
    today: str | None = None,
    trials: int = TRIALS,
    cause: str = "by hand",
    without: Sequence[str] = (),
    averaged: bool = False,  # noqa: FBT001, FBT002 - flows are given their parameters by place
    again: bool = False,  # noqa: FBT001, FBT002
) -> int:
    """Train as of `today` (YYYY-MM-DD; by default TODAY) and return the version's number.

    without: days of departure (YYYY-MM-DD) that are left out, because their data are in doubt. averaged: register the
    mean of the new model and the champion, if there is one.

    When nothing has changed since an earlier training, and that version's files are whole, it returns its number;
    again: it trains all the same, and tunes anew.
    """
    end_with_server()
    settings = read_settings() if today is None else replace(read_settings(), today=parse_today(today))
    client = mlflow_runs.open_tracking(settings)
    snapshot = gather_step(settings, without)
    validate_step(snapshot)
    champion = registry.by_alias(client, registry.CHAMPION)
    if champion and (error := registry.fault(client, champion)):
        say(f"{error.reason} The champion is left out of this training.")
        champion = None
    mean_with = champion if averaged else None
    key = training_key(snapshot, trials, mean_with)
    if not again and (made := registry.find(client, key)):
        report_unchanged(made)
        return made.number
    for earlier in registry.made_with(client, key):
        if error := registry.fault(client, earlier):
            say(f"{error.reason} It is trained again, as a new version.")
    tags = {
        "training_key": key,
        "today": snapshot.today,
        "data_digest": snapshot.digest,
        "trials": str(trials),
        "cause": cause,
        "commit": lineage.commit(),
        "code_digest": lineage.code_digest(),
        "prefect_flow_run": str(flow_run.id),
        **lineage.environment(),
    }
    if without:
        tags |= {"days_left_out": " ".join(without), "rows_left_out": str(snapshot.rows_left_out)}
    if mean_with:
        tags["averaged_with"] = str(mean_with.number)
    about = f"Trained on the {snapshot.rows:,} flights known on {snapshot.today}, {cause}; {trials} trials below it."
    kept = {"kind": "training", **lineage.bundle(tags)}
    with mlflow_runs.tracked(f"training as of {snapshot.today}", about, kept) as run:
        record.record_data(snapshot)
        features = features_step(snapshot)
        best, tuned_by = tune_step(snapshot, features, trials, run.info.run_id, run.info.run_id if again else key)
        record.record_choice(best, tuned_by)
        parameters = best.parameters
        model_uri = train_step(snapshot, features, parameters, mean_with)
        evaluate_step(snapshot, features, parameters, champion)
        tags["parameters"] = json.dumps(parameters)
        return register_step(settings, model_uri, run.info.run_id, tags, again).number
