"""What automatic retraining is worth: the loop compared with retraining by the calendar, on the same flights."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass

from level4_deployment.experiment import experiment_store
from level5_monitoring import config
from level5_monitoring.loop import loop_store, policy
from level5_monitoring.policy_backtest.calendars import CALENDAR, LOOP, POLICIES
from shared.console import console, show_table
from shared.errors import UserError
from shared.files import read_json, write_json
from shared.score import Score, by_month, log_losses, score
from shared.settings import Settings

BY_MONTH = ["frozen", "monthly", "weekly", LOOP]  # more do not fit into a terminal
LOSS = "{:.3f}"  # nats per flight, in every table of policies
CHANCE = "Log loss in nats per flight; another seed changes it by about 0.0005 (SD)."
RANGE = [0.025, 0.975]  # quantiles of a 95% interval
BLOCK, RESAMPLED = 7, 2_000  # days of a block, because weather lasts for days; how often the blocks are drawn
LEAST_SHARE, MAX_TRAININGS = 0.85, 0.2  # the loop's aims: of weekly's gain over never, and of its trainings
RESULTS_FILE = "policy_comparison.json"
Interval = tuple[float, float, float]  # an estimate, and its 95% interval


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

    gain: over never, nats per flight; share: of weekly's gain; each with its 95% interval. worse_days: on which a
    version answered whose loss, over all days that it answered, was higher than its predecessor's; false_promotions:
    the number of these versions.
    """

    score: Score
    effort: Effort
    gain: Interval
    share: Interval
    worse_days: int
    false_promotions: int


def against_predecessors(days: pd.DataFrame) -> tuple[int, int]:
    """`worse_days` and `false_promotions` of a PolicyResult.

    days: of each version that had one before it, by day: version, day, flights, gain (nats per flight; mean).
    """
    total = (days["gain"] * days["flights"]).groupby(days["version"]).sum()
    worse = days[days["version"].isin(total.index[total < 0])]
    return worse["day"].nunique(), worse["version"].nunique()


def days_of_calendar(table: pd.DataFrame, policy: str) -> pd.DataFrame:
    """The days of `against_predecessors`, of a policy with the columns of `predict_by_calendar`."""
    both = table.dropna(subset=[policy, f"{policy} before", "late"])
    gain = log_losses(both["late"], both[f"{policy} before"]) - log_losses(both["late"], both[policy])
    keys = {"version": both[f"{policy} version"], "day": both["flight_id"].str[:10]}
    found = both.assign(gain=gain, flights=1, **keys).groupby(["version", "day"])
    return found.agg(flights=("flights", "sum"), gain=("gain", "mean")).reset_index()


def days_of_loop(settings: Settings) -> pd.DataFrame:
    """The same of the loop: its champions' days, and the days on which a challenger answered most of the flights.

    Days whose labels were in alarm are left out: by wrong labels, the better of two versions is the worse one.
    """
    with config.open_log(settings) as log:
        wrong = [
            one["day"]
            for one in loop_store.decisions(log)
            if any(alarm["monitor"] in policy.LABELS for alarm in one["alarms"])
        ]
        live = [loop_store.last_performance(log, 366)]
        for one in experiment_store.find(log):
            days = experiment_store.days_of(log, one.experiment).rename(columns={"mean_loss_difference": "gain"})
            live.append(days[days["challenger_arm"] > days["champion_arm"]].assign(version=one.challenger))
    found = pd.concat([days[["version", "day", "flights", "gain"]].dropna() for days in live], ignore_index=True)
    return found[~found["day"].isin(wrong)].astype({"version": int, "gain": float})


def gains(table: pd.DataFrame, policies: list[str]) -> dict[str, tuple[Interval, Interval]]:
    """`gain` and `share` of each policy's PolicyResult.

    The intervals come from circular blocks of BLOCK days, drawn anew with replacement (Politis and Romano 1992);
    percentiles.
    """
    losses = pd.DataFrame({name: log_losses(table["late"], table[name]) for name in policies})
    by_day = losses.groupby(table["flight_id"].str[:10].to_numpy())
    days, flights = by_day.sum(), by_day.size().to_numpy()
    count = len(days)
    first = np.random.default_rng(0).integers(0, count, (RESAMPLED, -(-count // BLOCK), 1))
    drawn = ((first + np.arange(BLOCK)) % count).reshape(RESAMPLED, -1)
    found = {}
    for name in policies:
        gain, whole = ((days["frozen"] - days[one]).to_numpy() for one in (name, "weekly"))
        found[name] = _ratio(gain, flights, drawn), _ratio(gain, whole, drawn)
    return found


def _ratio(part: NDArray[Any], whole: NDArray[Any], drawn: NDArray[np.intp]) -> Interval:
    """The ratio of two sums over days, with the interval of the days drawn: (RESAMPLED, n)."""
    low, high = np.quantile(part[drawn].sum(axis=1) / whole[drawn].sum(axis=1), RANGE)
    return float(part.sum() / whole.sum()), float(low), float(high)


def compare_policies(
    table: pd.DataFrame, loop: Effort, loop_days: pd.DataFrame, policies: Iterable[str] = POLICIES
) -> dict[str, PolicyResult]:
    """Score all policies on the flights that every one of them has answered.

    loop: what the loop cost; loop_days: as `days_of_loop` returns them.
    """
    names = [*policies]
    answered = table.dropna(subset=names)
    gained = gains(answered, names)
    results = {}
    for name in names:
        effort, days = (loop, loop_days) if name == LOOP else (_effort(table, name), days_of_calendar(answered, name))
        lived = against_predecessors(days)
        results[name] = PolicyResult(score(answered["late"], answered[name]), effort, *gained[name], *lived)
    return results


def _effort(table: pd.DataFrame, policy: str) -> Effort:
    """Of a calendar policy. The six-weekly one that tries its models trains as often as the one that does not."""
    trainings = table["six_weeks version" if policy == "six_weeks_tried" else f"{policy} version"].nunique()
    return Effort(trainings=trainings, steps=trainings if policy == "monthly" else 0)


def show_comparison(table: pd.DataFrame, results: dict[str, PolicyResult]) -> None:
    """Print how good each policy was and what it cost, then its log loss by month; all by the true labels."""
    answered = table.dropna(subset=[*POLICIES])
    clean = clean_losses(table)
    quality, cost = [], []
    for policy_, result in results.items():
        own, gain = result.score, [1000 * part for part in result.gain]
        gained = "" if policy_ == "frozen" else "{:+.1f} [{:+.1f}, {:+.1f}]".format(*gain)
        without = [LOSS.format(clean[policy_]) if policy_ in clean else ""] if clean else []
        quality.append([POLICIES[policy_], LOSS.format(own.log_loss), *without, gained, str(result.effort.trainings)])
        lived = result.effort.trainings, result.false_promotions, result.worse_days
        effort = result.effort.alerts, result.effort.false_alarms, result.effort.steps
        cost.append([POLICIES[policy_], *("" if count is None else str(count) for count in (*lived, *effort))])
    columns = ["Policy", "log loss", *(["no faults"] if clean else []), "gain x 1000 [95%]", "trained"]
    title = f"Quality on {results[LOOP].score.rows:,} labelled flights, by the true labels; gain: over never"
    show_table(title, columns, quality)
    console.print(f"  {CHANCE}")
    columns = ["trained", "worse versions", "days live", "alerts", "false alarms", "manual steps"]
    show_table("What each policy cost", ["Policy", *columns], cost, detail=True)
    months = {name: by_month(answered, answered[name]) for name in BY_MONTH}
    cells = {name: scores["log_loss"].map(LOSS.format) for name, scores in months.items()}
    table_of = pd.DataFrame({"flights": months[LOOP]["rows"].map("{:,.0f}".format)} | cells)
    rows = [[str(month), *row] for month, *row in table_of.itertuples()]
    show_table("Log loss by month of departure", ["Month", "flights", *months], rows, detail=True)


def summarise(losses: Mapping[str, float]) -> str:
    """Never, monthly by hand and the loop, as part of a sentence. losses: by policy, mean nats per flight."""
    words = {"frozen": "never", "monthly": "monthly", LOOP: "the loop"}
    return ", ".join(f"{word} {LOSS.format(losses[name])}" for name, word in words.items())


def clean_losses(table: pd.DataFrame) -> dict[str, float]:
    """The log loss in the year without faults, of the policies of which the table has it; on the same flights."""
    answered = table.dropna(subset=[*POLICIES])
    names = [name for name in POLICIES if f"clean {name}" in table]
    return {name: float(log_losses(answered["late"], answered[f"clean {name}"]).mean()) for name in names}


def keep_results(settings: Settings, results: dict[str, PolicyResult], failed: int, *, faults: bool) -> None:
    """Keep the comparison for `missed_aims`; failed: requests without an answer; faults: whether the year had some."""
    kept = {name: asdict(result) for name, result in results.items()}
    write_json(config.own(settings) / RESULTS_FILE, {"policies": kept, "failed": failed, "faults": faults})


def _kept_results(policies: dict[str, Any], failed: int, faults: bool) -> tuple[dict[str, PolicyResult], int, bool]:  # noqa: FBT001
    return {name: PolicyResult(**policies[name]) for name in POLICIES}, int(failed), bool(faults)


def read_results(home: Path) -> tuple[dict[str, PolicyResult], int, bool]:
    """The arguments of `keep_results`; raises StateError or FileNotFoundError."""
    return read_json(home / RESULTS_FILE, _kept_results, "make level5")


def missed_aims(settings: Settings) -> list[str]:
    """The level's aims that the last year missed, each with its figure; raises UserError before the first year.

    In a clean year the loop is to be as good as weekly retraining, nearly, and better than every calendar with no more
    trainings; in a year with faults, from which calendars learn, better than every calendar.
    """
    file = config.own(settings) / RESULTS_FILE
    if not file.exists():
        raise UserError(f"level 5 has not run yet: {file} does not exist. Remedy: make level5.")
    results, failed, faults = read_results(file.parent)
    loop, weekly = results[LOOP], results["weekly"].effort
    most = MAX_TRAININGS * weekly.trainings
    rivals = [name for name in CALENDAR if faults or results[name].effort.trainings <= loop.effort.trainings]
    better = [
        f"{POLICIES[name]} {results[name].score.log_loss:.4f}, the loop {loop.score.log_loss:.4f}"
        for name in rivals
        if results[name].score.log_loss <= loop.score.log_loss
    ]
    share = f"{loop.share[0]:.0%} of weekly's gain over never, at least {LEAST_SHARE:.0%}"
    aims = [
        (not faults and loop.share[0] < LEAST_SHARE, share),
        (bool(better), f"better{'' if faults else ' with no more trainings'}: {'; '.join(better)}"),
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
