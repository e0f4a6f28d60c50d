"""What automatic retraining is worth: the loop compared with retraining by the calendar, on the same flights.

The calendar policies never retrain, retrain each month by hand, or retrain each week on a schedule. Each of their
models learns from what was known on its day, by the recipe of level 3's pipeline, and is in production at once.
`python -m level5_monitoring.policy_comparison` trains them all, in a process of its own beside the replayed year.
"""

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass

from level2_devops.features import features
from level2_devops.model import fit_features, predict_features
from level3_training_pipeline.pipeline import data, tune
from level4_deployment import prediction_log
from level5_monitoring import config
from shared.console import bar, console, show_table, step
from shared.data.flights import load_flights
from shared.data.split import future, history
from shared.environment import begin
from shared.errors import UserError, command
from shared.files import read_json, read_parquet, write_json, write_parquet
from shared.processes.children import Process
from shared.score import Score, by_month, score
from shared.settings import NEW_YORK, Settings

LOOP, CALENDAR = "loop", ["frozen", "monthly", "weekly"]
POLICIES = {
    "frozen": "never retrained",
    "monthly": "monthly, by hand",
    "weekly": "weekly, on schedule",
    LOOP: "by the loop",
}
FIGURES = {"log_loss": "Log loss", "auc": "AUC", "calibration_error": "Calibration error"}
MAX_EXTRA_LOSS, MAX_TRAININGS = 0.01, 0.2  # the loop's aims: shares of weekly retraining's log loss and trainings
PREDICTIONS_FILE, LOG_FILE = "calendar_policies.parquet", "calendar_policies.log"
RESULTS_FILE = "policy_comparison.json"
TRAIN = ["level5_monitoring.policy_comparison"]  # what `python -m` runs


@dataclass(frozen=True, config={"extra": "forbid"})
class Effort:
    """What a policy cost. trainings: with the first one; steps: manual ones; alerts: None without monitors."""

    trainings: int
    steps: int
    alerts: int | None = None
    false_alarms: int | None = None


@dataclass(frozen=True, config={"extra": "forbid"})
class PolicyResult:
    """How good a policy's predictions were on all labelled flights, and what they cost."""

    score: Score
    effort: Effort


def mondays(start: pd.Timestamp, end: pd.Timestamp) -> pd.DatetimeIndex:
    """The days on which the weekly policy trains: `start`, then every Monday; midnights in New York."""
    days = pd.date_range(start.tz_convert(NEW_YORK), end.tz_convert(NEW_YORK), freq="D")
    return days[(days == start) | (days.weekday == 0)]


def first_of_month(days: pd.DatetimeIndex) -> NDArray[np.bool_]:
    """Whether the monthly policy trains on each of these days: on the first one of each month."""
    return ~days.tz_localize(None).to_period("M").duplicated()


def predict_by_calendar(flights: pd.DataFrame, start: pd.Timestamp) -> pd.DataFrame:
    """Each calendar policy's probability for every labelled flight from `start` on.

    Columns: flight_id, scheduled_departure, late, week (the Monday before its prediction), and CALENDAR.
    """
    inputs = features(flights)
    table = inputs.join(flights[data.KEPT])
    later = future(table, start)
    days = mondays(start, later["predicted_at"].max())
    week = days.searchsorted(later["predicted_at"].dt.tz_convert(NEW_YORK), side="right") - 1  # (n,): weekly model's
    newest_monthly = np.maximum.accumulate(np.where(first_of_month(days), np.arange(len(days)), 0))
    model_of = {"frozen": np.zeros_like(week), "monthly": newest_monthly[week], "weekly": week}  # number of a Monday
    found = pd.DataFrame(dict.fromkeys(CALENDAR, 0.0), index=later.index)
    with bar(f"Train by the calendar: {len(days)} Mondays", len(days)) as advance:
        for i, day in enumerate(days):
            known = data.sample(history(table, day), day)
            model = fit_features(known[inputs.columns], known["late"], **tune.START)
            for policy, number in model_of.items():
                rows = number == i
                if rows.any():
                    found.loc[rows, policy] = predict_features(model, later.loc[rows, inputs.columns])
            advance()
    names = pd.Series(days.strftime("%Y-%m-%d"))[week].to_numpy()
    about = flights.loc[later.index, ["flight_id", "scheduled_departure", "late"]]
    return pd.concat([about.assign(week=names), found], axis=1)


def collect_predictions(settings: Settings, process: Process) -> pd.DataFrame:
    """One row per labelled flight: each calendar policy's probability, and the loop's first answer to the user."""
    own = config.own(settings)
    with step("Wait for the calendar policies' models"):
        if process.wait():
            raise UserError(f"the calendar policies were not trained. Remedy: read why in {own / LOG_FILE}")
    columns = [prediction_log.PREDICTIONS.c.flight_id, prediction_log.PREDICTIONS.c.probability]
    with config.open_log(settings) as log:
        loop = prediction_log.first_predictions(log, columns)[["flight_id", "probability"]]
    calendar = read_predictions(own)
    return calendar.merge(loop.set_axis(["flight_id", LOOP], axis=1), on="flight_id", how="left", validate="1:1")


def read_predictions(home: Path) -> pd.DataFrame:
    """Each calendar policy's probability, by `predict_by_calendar`; raises StateError or FileNotFoundError."""
    return read_parquet(home / PREDICTIONS_FILE, f"make them again: python -m {' '.join(TRAIN)}")


def compare_policies(table: pd.DataFrame, loop: Effort) -> dict[str, PolicyResult]:
    """Score all policies on the flights that every one of them has answered; loop: what the loop cost."""
    answered = table.dropna(subset=[*POLICIES])
    weeks = pd.DatetimeIndex(sorted(table["week"].unique()))
    months = int(first_of_month(weeks).sum())
    efforts = {
        "frozen": Effort(trainings=1, steps=0),
        "monthly": Effort(trainings=months, steps=months),
        "weekly": Effort(trainings=len(weeks), steps=0),
        LOOP: loop,
    }
    return {name: PolicyResult(score(answered["late"], answered[name]), efforts[name]) for name in POLICIES}


def show_comparison(table: pd.DataFrame, results: dict[str, PolicyResult]) -> None:
    """Print how good each policy was and what it cost, then its scores by month."""
    weekly = results["weekly"].score.log_loss
    quality, cost = [], []
    for policy, result in results.items():
        own = result.score
        figures = f"{own.log_loss:.4f}", f"{own.log_loss / weekly - 1:+.1%}", f"{own.auc:.4f}"
        quality.append([POLICIES[policy], *figures, f"{own.calibration_error:.4f}"])
        effort = result.effort.trainings, result.effort.alerts, result.effort.false_alarms, result.effort.steps
        cost.append([POLICIES[policy], *("" if count is None else str(count) for count in effort)])
    columns = ["Policy", "log loss", "Δ to weekly", "AUC", "calibration error"]
    show_table(f"Quality on {results[LOOP].score.rows:,} labelled flights", columns, quality)
    show_table("Cost", ["Policy", "trainings", "alerts", "false alarms", "manual steps"], cost)
    answered = table.dropna(subset=[*POLICIES])
    months = {policy: by_month(answered, answered[policy]) for policy in POLICIES}
    for figure, title in FIGURES.items():
        cells = {policy: scores[figure].map("{:.4f}".format) for policy, scores in months.items()}
        table_of = pd.DataFrame({"flights": months[LOOP]["rows"].map("{:,.0f}".format)} | cells)
        rows = [[str(month), *row] for month, *row in table_of.itertuples()]
        show_table(f"{title} by month of departure", ["Month", "flights", *months], rows)


def summarise(results: dict[str, PolicyResult]) -> str:
    """The loop compared with weekly retraining, in one sentence."""
    loop, weekly = results[LOOP], results["weekly"]
    trainings = f"{loop.effort.trainings} trainings instead of {weekly.effort.trainings}"
    return f"log loss {_extra_loss(results):+.1%} compared with weekly retraining, with {trainings}"


def when_not(results: dict[str, PolicyResult]) -> str:
    """When this level is not worth its machinery, in this run's figures."""
    frozen, monthly, loop = (results[name].score.log_loss for name in ("frozen", "monthly", LOOP))
    return (
        f"log loss never retrained {frozen:.4f}, monthly by hand {monthly:.4f}, by the loop {loop:.4f}: "
        "if nine trainings by hand cost you less than this machinery, stop at level 3 or 4"
    )


def keep_results(settings: Settings, results: dict[str, PolicyResult], failed: int) -> None:
    """Keep the comparison for `missed_aims`; failed: requests without an answer."""
    kept = {name: asdict(result) for name, result in results.items()}
    write_json(config.own(settings) / RESULTS_FILE, {"policies": kept, "failed": failed})


def _kept_results(policies: dict[str, Any], failed: int) -> tuple[dict[str, PolicyResult], int]:
    return {name: PolicyResult(**policies[name]) for name in POLICIES}, int(failed)


def missed_aims(settings: Settings) -> list[str]:
    """The level's aims that the last year missed, each with its figure; raises UserError before the first year."""
    file = config.own(settings) / RESULTS_FILE
    if not file.exists():
        raise UserError(f"level 5 has not run yet: {file} does not exist. Remedy: make level5.")
    results, failed = read_json(file, _kept_results, "make level5")
    loop, weekly, extra = results[LOOP].effort, results["weekly"].effort, _extra_loss(results)
    worse, most = f"{extra:+.2%} compared with weekly retraining", f"{MAX_TRAININGS:.0%} of {weekly.trainings}"
    aims = [
        (extra > MAX_EXTRA_LOSS, f"log loss {worse}, at most {MAX_EXTRA_LOSS:+.0%}"),
        (loop.trainings > MAX_TRAININGS * weekly.trainings, f"{loop.trainings} trainings, at most {most}"),
        (loop.steps > 0, f"{loop.steps} manual steps, none allowed"),
        (failed > 0, f"{failed} failed requests, none allowed"),
    ]
    return [aim for missed, aim in aims if missed]


def check_aims(settings: Settings) -> None:
    """Compare the last year with the level's aims; raises UserError with each aim that it missed."""
    if missed := missed_aims(settings):
        raise UserError(f"level 5 missed its aims: {'; '.join(missed)}. Remedy: see loop/policy.py.")
    console.print("Level 5's last year reached all its aims.")


def _extra_loss(results: dict[str, PolicyResult]) -> float:
    """The loop's log loss above weekly retraining's, as a share of it."""
    return results[LOOP].score.log_loss / results["weekly"].score.log_loss - 1


def main() -> None:
    """Train by the calendar and write each policy's predictions."""
    if hasattr(os, "nice"):  # Windows has none
        os.nice(10)  # the service that answers users has priority on this machine
    settings = config.configure()
    write_parquet(predict_by_calendar(load_flights(settings), settings.now), config.own(settings) / PREDICTIONS_FILE)


if __name__ == "__main__":
    begin()
    command(main)
