"""What automatic retraining is worth: the loop compared with retraining by the calendar, on the same flights.

The calendar policies never retrain, or retrain every six weeks, each month by hand, or each week on a schedule. Each of
their models learns from what was known on its night, by the recipe of level 3's pipeline, and is in production at once;
one policy tries it first, as the loop does. `python -m level5_monitoring.policy_comparison` trains them all, in a
process of its own beside the replayed year.
"""

import os
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass

from level4_deployment import prediction_log
from level4_deployment.experiment import experiment_store
from level5_monitoring import config
from level5_monitoring.loop import loop_store
from level5_monitoring.policy_simulation import Models, Platform, SimulatedYear, by_calendar, simulate
from shared.console import bar, console, show_table, step
from shared.data.flights import load_flights
from shared.environment import begin
from shared.errors import UserError, command
from shared.files import StateError, read_json, read_parquet, write_json, write_parquet
from shared.processes.children import Process
from shared.score import Score, by_month, log_losses, score
from shared.settings import NEW_YORK, Settings

Floats = NDArray[np.float64]
LOOP, CALENDAR = "loop", ["frozen", "six_weeks", "six_weeks_tried", "monthly", "weekly"]
POLICIES = {
    "frozen": "never retrained",
    "six_weeks": "every six weeks, live at once",
    "six_weeks_tried": "every six weeks, tried first",
    "monthly": "monthly, by hand",
    "weekly": "weekly, on schedule",
    LOOP: "by the loop",
}
BY_MONTH = ["frozen", "monthly", "weekly", LOOP]  # more do not fit into a terminal
FIGURES = {"log_loss": "Log loss", "auc": "AUC", "calibration_error": "Calibration error"}
SIX_WEEKS = 6  # Mondays
BLOCK, RESAMPLED = 7, 2_000  # days of a block, because weather lasts for days; how often the blocks are drawn
LEAST_SHARE, MAX_TRAININGS = 0.85, 0.2  # the loop's aims: of weekly's gain over never, and of its trainings
PREDICTIONS_FILE, LOG_FILE = "calendar_policies.parquet", "calendar_policies.log"
SHARE_FILE = "calendar_policies.json"  # how much of their training is done
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
    """How good a policy's predictions were on all labelled flights, and what they cost.

    share: of weekly's gain over never, then its 95% interval. worse_days: on which a version answered whose loss, over
    all days that it answered, was higher than its predecessor's; false_promotions: the number of these versions.
    """

    score: Score
    effort: Effort
    share: tuple[float, float, float]
    worse_days: int
    false_promotions: int


def training_nights(start: pd.Timestamp, end: pd.Timestamp) -> dict[str, list[str]]:
    """The nights (YYYY-MM-DD) on which each calendar policy trains: on Mondays, but first at once, on `start`.

    monthly: on the first of these nights in each month; six_weeks: on every sixth.
    """
    days = pd.date_range(start.tz_convert(NEW_YORK), end.tz_convert(NEW_YORK), freq="D")
    mondays = days[(days == start) | (days.weekday == 0)].tz_localize(None)
    names = mondays.strftime("%Y-%m-%d")
    weekly, monthly = list(names), list(names[~mondays.to_period("M").duplicated()])
    six_weeks = weekly[::SIX_WEEKS]
    return {
        "frozen": weekly[:1],
        "six_weeks": six_weeks,
        "six_weeks_tried": six_weeks,
        "monthly": monthly,
        "weekly": weekly,
    }


def predict_by_calendar(
    flights: pd.DataFrame, start: pd.Timestamp, keep_share: Callable[[float], object] = lambda _share: None
) -> pd.DataFrame:
    """Each calendar policy's probability for every labelled flight from `start` on.

    Columns: flight_id, scheduled_departure, late; and for each policy its probability, the number of the version that
    gave it (`weekly version`), and the probability that the version before it would have given (`weekly before`).
    """
    year = SimulatedYear(flights, flights["late"].to_numpy(float))
    models, nights = Models(year), training_nights(start, flights["predicted_at"].max())
    first, last = nights["weekly"][0], str(flights["predicted_at"].max().tz_convert(NEW_YORK).date())
    with bar(f"Train by the calendar: {len(nights['weekly'])} Mondays", len(nights["weekly"])) as advance:
        for number, night in enumerate(nights["weekly"]):
            keep_share(number / len(nights["weekly"]))
            models.train(night)
            advance()
    found = flights[["flight_id", "scheduled_departure", "late"]]
    for name in CALENDAR:
        tried = name == "six_weeks_tried"
        found = found.assign(**columns_of(name, simulate(models, first, last, by_calendar(nights[name], tried=tried))))
    return found[found["late"].notna() & found["frozen"].notna()].reset_index(drop=True)


def columns_of(name: str, platform: Platform) -> dict[str, Any]:
    """A policy's columns, as `predict_by_calendar` has them."""
    return {name: platform.answer, f"{name} version": platform.version, f"{name} before": platform.before}


def collect_predictions(settings: Settings, process: Process) -> pd.DataFrame:
    """One row per labelled flight: as `predict_by_calendar`, and the loop's first answer to the user."""
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


def read_share(home: Path) -> float | None:
    """How much of the calendar policies' training is done, from 0 to 1; None where that is not known."""
    try:
        return read_json(home / SHARE_FILE, _kept_share, "make down, then make up")
    except (FileNotFoundError, StateError):
        return None


def _kept_share(share: float) -> float:
    return float(share)


class Lived(NamedTuple):
    """How versions did while they answered, against the version before each of them.

    worse_days: on which a version answered that was worse over all its days; false_promotions: how many these were.
    """

    worse_days: int
    false_promotions: int


def against_predecessors(days: pd.DataFrame) -> Lived:
    """days: of each version that had one before it, by day: version, day, flights, gain (nats per flight; mean)."""
    total = (days["gain"] * days["flights"]).groupby(days["version"]).sum()
    worse = days[days["version"].isin(total.index[total < 0])]
    return Lived(worse["day"].nunique(), worse["version"].nunique())


def days_of_calendar(table: pd.DataFrame, policy: str) -> pd.DataFrame:
    """The days of `against_predecessors`, of a policy with the columns of `predict_by_calendar`."""
    both = table.dropna(subset=[policy, f"{policy} before", "late"])
    gain = log_losses(both["late"], both[f"{policy} before"]) - log_losses(both["late"], both[policy])
    keys = {"version": both[f"{policy} version"], "day": both["flight_id"].str[:10]}
    found = both.assign(gain=gain, flights=1, **keys).groupby(["version", "day"])
    return found.agg(flights=("flights", "sum"), gain=("gain", "mean")).reset_index()


def days_of_loop(settings: Settings) -> pd.DataFrame:
    """The same of the loop: its champions' days, and the days on which a challenger answered most of the flights."""
    with config.open_log(settings) as log:
        live = [loop_store.last_performance(log, 366)[["version", "day", "flights", "gain"]].dropna()]
        for one in experiment_store.find(log):
            days = experiment_store.days_of(log, one.experiment).rename(columns={"mean_loss_difference": "gain"})
            most = days[days["challenger_arm"] > days["champion_arm"]].assign(version=one.challenger)
            live.append(most[["version", "day", "flights", "gain"]].dropna())
    return pd.concat(live, ignore_index=True).astype({"version": int, "gain": float})


def gain_shares(table: pd.DataFrame, policies: list[str]) -> dict[str, tuple[float, float, float]]:
    """For each policy, its share of weekly's gain in log loss over never, and the share's 95% interval.

    From circular blocks of BLOCK days, drawn anew with replacement (Politis and Romano 1992); percentiles.
    """
    losses = pd.DataFrame({name: log_losses(table["late"], table[name]) for name in policies})
    days = losses.groupby(table["flight_id"].str[:10].to_numpy()).sum()
    count = len(days)
    first = np.random.default_rng(0).integers(0, count, (RESAMPLED, -(-count // BLOCK), 1))
    drawn = ((first + np.arange(BLOCK)) % count).reshape(RESAMPLED, -1)
    gains = {name: (days["frozen"] - days[name]).to_numpy() for name in policies}
    whole = gains["weekly"][drawn].sum(axis=1)
    found = {}
    for name, gain in gains.items():
        low, high = np.quantile(gain[drawn].sum(axis=1) / whole, [0.025, 0.975])
        found[name] = float(gain.sum() / gains["weekly"].sum()), float(low), float(high)
    return found


def compare_policies(
    table: pd.DataFrame, loop: Effort, loop_days: pd.DataFrame, policies: Iterable[str] = POLICIES
) -> dict[str, PolicyResult]:
    """Score all policies on the flights that every one of them has answered.

    loop: what the loop cost; loop_days: as `days_of_loop` returns them.
    """
    names = [*policies]
    answered = table.dropna(subset=names)
    shares = gain_shares(answered, names)
    results = {}
    for name in names:
        effort, days = (loop, loop_days) if name == LOOP else (_effort(table, name), days_of_calendar(answered, name))
        lived = against_predecessors(days)
        results[name] = PolicyResult(score(answered["late"], answered[name]), effort, shares[name], *lived)
    return results


def _effort(table: pd.DataFrame, policy: str) -> Effort:
    """Of a calendar policy. The six-weekly one that tries its models trains as often as the one that does not."""
    trainings = table["six_weeks version" if policy == "six_weeks_tried" else f"{policy} version"].nunique()
    return Effort(trainings=trainings, steps=trainings if policy == "monthly" else 0)


def show_comparison(table: pd.DataFrame, results: dict[str, PolicyResult]) -> None:
    """Print how good each policy was and what it cost, then its scores by month."""
    quality, cost = [], []
    for policy, result in results.items():
        own, (share, low, high) = result.score, result.share
        gained = "" if policy == "frozen" else f"{share:.0%} [{low:.0%}, {high:.0%}]"
        quality.append(
            [POLICIES[policy], f"{own.log_loss:.4f}", gained, f"{own.auc:.4f}", f"{own.calibration_error:.4f}"]
        )
        lived = result.effort.trainings, result.false_promotions, result.worse_days
        effort = result.effort.alerts, result.effort.false_alarms, result.effort.steps
        cost.append([POLICIES[policy], *("" if count is None else str(count) for count in (*lived, *effort))])
    columns = ["Policy", "log loss", "share of weekly's gain over never [95%]", "AUC", "calibration error"]
    show_table(f"Quality on {results[LOOP].score.rows:,} labelled flights", columns, quality)
    columns = ["trainings", "worse versions", "days with one live"]
    show_table("Cost", ["Policy", *columns, "alerts", "false alarms", "manual steps"], cost)
    answered = table.dropna(subset=[*POLICIES])
    months = {policy: by_month(answered, answered[policy]) for policy in BY_MONTH}
    for figure, title in FIGURES.items():
        cells = {policy: scores[figure].map("{:.4f}".format) for policy, scores in months.items()}
        table_of = pd.DataFrame({"flights": months[LOOP]["rows"].map("{:,.0f}".format)} | cells)
        rows = [[str(month), *row] for month, *row in table_of.itertuples()]
        show_table(f"{title} by month of departure", ["Month", "flights", *months], rows)


def summarise(results: dict[str, PolicyResult]) -> str:
    """The loop compared with weekly retraining, in one sentence."""
    loop, weekly = results[LOOP], results["weekly"]
    share, low, high = loop.share
    trainings = f"{loop.effort.trainings} trainings instead of {weekly.effort.trainings}"
    return f"{share:.0%} of weekly retraining's gain over never (95%: {low:.0%} to {high:.0%}), with {trainings}"


def when_not(results: dict[str, PolicyResult]) -> str:
    """When this level is not worth its machinery, in this run's figures."""
    frozen, monthly, loop = (results[name].score.log_loss for name in ("frozen", "monthly", LOOP))
    trainings = results["monthly"].effort.trainings
    return (
        f"log loss never retrained {frozen:.4f}, monthly by hand {monthly:.4f}, by the loop {loop:.4f}: "
        f"if {trainings} trainings by hand cost you less than this machinery, stop at level 3 or 4"
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
    loop, weekly = results[LOOP], results["weekly"].effort
    most = MAX_TRAININGS * weekly.trainings
    better = [
        f"{POLICIES[name]} {one.score.log_loss:.4f}, the loop {loop.score.log_loss:.4f}"
        for name, one in results.items()
        if name != LOOP and one.effort.trainings <= loop.effort.trainings and one.score.log_loss <= loop.score.log_loss
    ]
    aims = [
        (loop.share[0] < LEAST_SHARE, f"{loop.share[0]:.0%} of weekly's gain over never, at least {LEAST_SHARE:.0%}"),
        (bool(better), f"better with no more trainings: {'; '.join(better)}"),
        (loop.effort.trainings > most, f"{loop.effort.trainings} trainings, at most {most:g}"),
        (loop.effort.steps > 0, f"{loop.effort.steps} manual steps, none allowed"),
        (failed > 0, f"{failed} failed requests, none allowed"),
    ]
    return [aim for missed, aim in aims if missed]


def check_aims(settings: Settings) -> None:
    """Compare the last year with the level's aims; raises UserError with each aim that it missed."""
    if missed := missed_aims(settings):
        raise UserError(f"level 5 missed its aims: {'; '.join(missed)}. Remedy: see loop/policy.py.")
    console.print("Level 5's last year reached all its aims.")


def main() -> None:
    """Train by the calendar and write each policy's predictions."""
    if hasattr(os, "nice"):  # Windows has none
        os.nice(10)  # the service that answers users has priority on this machine
    settings = config.configure()
    own = config.own(settings)

    def keep_share(share: float) -> None:
        write_json(own / SHARE_FILE, {"share": share})

    keep_share(0.0)  # what an earlier process has done is done again
    write_parquet(predict_by_calendar(load_flights(settings), settings.now, keep_share), own / PREDICTIONS_FILE)


if __name__ == "__main__":
    begin()
    command(main)
