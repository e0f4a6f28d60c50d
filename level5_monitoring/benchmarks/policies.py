"""`make benchmark-policies`: what each retraining policy is worth, from four starts, and in a year with faults put in.

Every policy is simulated by `policy_backtest`: with the real models, and for the loop with its real monitors, policy
and test. Two calendars more than in `make level5` average their models as the loop does, and have nothing else of it.
"""

import os
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import NamedTuple

import numpy as np
import pandas as pd

from level5_monitoring import config
from level5_monitoring.live_year.faulty_year import BROKEN_UNIT, INVERTED, SPOILED_FROM
from level5_monitoring.loop import policy
from level5_monitoring.policy_backtest.calendars import (
    LOOP,
    POLICIES,
    calendar_turns,
    simulate_policies,
    training_nights,
)
from level5_monitoring.policy_backtest.comparison import (
    CHANCE,
    LOSS,
    Effort,
    PolicyResult,
    compare_policies,
    days_of_calendar,
)
from level5_monitoring.policy_backtest.models import Models, SimulatedYear, faulty_year, midnight, real_year, shift
from level5_monitoring.policy_backtest.simulation import Loop, Platform, by_calendar, simulate
from shared.console import console, show_table, step
from shared.data.flights import load_flights
from shared.score import log_losses

STARTS, END = ("2013-04-01", "2013-05-01", "2013-06-01", "2013-07-01"), "2013-12-31"
AVERAGED = {"six_weeks_averaged": "six_weeks", "weekly_averaged": "weekly"}  # which calendar's nights each has
NAMES = POLICIES | {
    "six_weeks_averaged": "every six weeks, averaged, at once",
    "weekly_averaged": "weekly, averaged, at once",
}
FAULTY = STARTS[:1]  # the start in the year with faults


class Outcome(NamedTuple):
    """What became of the policies from one start, by policy.

    spoiled_days: on which the version that learnt labels of other flights answered users. ended_by: what ended it.
    """

    results: dict[str, PolicyResult]
    spoiled_days: dict[str, int]
    ended_by: dict[str, str]


class LearningCurve(NamedTuple):
    """The gain of a retraining is c x (1 / days before - 1 / days after). c: nats per flight, times days.

    explained: the share of the squared gains of the `pairs`.
    """

    c: float
    explained: float
    pairs: int


def run_year(year: SimulatedYear, starts: tuple[str, ...]) -> dict[str, Outcome]:
    """All policies from each start; models that several need are trained once."""
    models = Models(year)
    return {start: run_start(models, start) for start in starts}


def run_start(models: Models, start: str) -> Outcome:
    """All policies from one start, compared on what really happened."""
    nights = training_nights(midnight(start), midnight(END))
    turns = calendar_turns(nights) | {name: by_calendar(nights[like], averaged=True) for name, like in AVERAGED.items()}
    table, platforms = simulate_policies(models, start, END, turns | {LOOP: Loop(models, start)})
    spoiled_days = {name: _spoiled_days(platform) for name, platform in platforms.items()}
    ended_by = {name: _ended_by(platform) for name, platform in platforms.items()}
    loop = Effort(trainings=platforms[LOOP].trainings, steps=0)
    return Outcome(compare_policies(table, loop, days_of_calendar(table, LOOP), NAMES), spoiled_days, ended_by)


def _spoiled_days(platform: Platform) -> int:
    answered = platform.year.flights["flight_id"][platform.version == (platform.spoiled or -1)]
    return int(answered.str[:10].nunique())


def _ended_by(platform: Platform) -> str:
    if platform.spoiled is None:
        return ""
    if platform.spoiled in platform.refused:
        return "gate"
    promoted = platform.spoiled in {one.number for one in platform.promoted}
    return "next training" if promoted else "trial"


def learn_from_history(flights: pd.DataFrame) -> tuple[LearningCurve, pd.DataFrame]:
    """What the policy's numbers rest on: models of every third night, and flights, of January to March only.

    The table: by days between trainings, how much lower the log loss is with averaged models (mean over the starts, in
    nats per flight), and for how many of the starts it is lower.
    """
    known = flights[flights["predicted_at"] < midnight(STARTS[0])]
    models = Models(SimulatedYear(known, known["late"].to_numpy(float)))
    nights = [shift("2013-01-31", 3 * i) for i in range(20)]
    rows = []
    for every in (3, 4, 5, 7):
        gains = []
        for first in range(9):
            losses = [
                _loss(
                    simulate(models, nights[first], "2013-03-31", by_calendar(nights[first::every], averaged=averaged))
                )
                for averaged in (False, True)
            ]
            gains.append(losses[0] - losses[1])
        rows.append([3 * every, float(np.mean(gains)), sum(gain > 0 for gain in gains), len(gains)])
    table = pd.DataFrame(rows, columns=["days", "gain", "better", "starts"])
    return _learning_curve(models, nights), table


def _loss(platform: Platform) -> float:
    answered = ~np.isnan(platform.answer + platform.year.truth)
    return float(log_losses(platform.year.truth[answered], platform.answer[answered]).mean())


def _learning_curve(models: Models, nights: list[str]) -> LearningCurve:
    """Least squares of the gain of a newer model on 1 / old days - 1 / new days, each pair weighted by its flights.

    On the flights of the four weeks from the newer training on, of at least seven days.
    """
    truth, asked = models.year.truth, models.year.flights["predicted_at"]
    pairs = []
    for i, new in enumerate(nights):
        rows = ((asked >= midnight(new)) & (asked < midnight(shift(new, 28)))).to_numpy() & ~np.isnan(truth)
        if asked[rows].max() - midnight(new) < pd.Timedelta(days=6.5):
            continue
        loss = log_losses(truth[rows], models.train(new)[rows]).mean()
        for old in nights[:i]:
            gain = log_losses(truth[rows], models.train(old)[rows]).mean() - loss
            days = [(pd.Timestamp(night) - pd.Timestamp(policy.HISTORY_BEGINS)).days for night in (old, new)]
            pairs.append((1 / days[0] - 1 / days[1], gain, rows.sum()))
    less, gain, weight = np.array(pairs, dtype=float).T
    c = float((weight * less * gain).sum() / (weight * less**2).sum())
    explained = 1 - float((weight * (gain - c * less) ** 2).sum() / (weight * gain**2).sum())
    return LearningCurve(c, explained, len(pairs))


def show_history(curve: LearningCurve, averaged: pd.DataFrame) -> None:
    """Print what January to March show."""
    rows = [
        [f"every {days} days", f"{1000 * gain:+.2f}", f"{better} of {starts}"]
        for days, gain, better, starts in averaged.itertuples(index=False)
    ]
    columns = ["Retrained", "gain, thousandths of a nat", "better"]
    show_table("Averaged against plain models, January to March, nine starts each", columns, rows)
    console.print(
        f"  A retraining gains {curve.c:.2f} x (1 / days before - 1 / days after) nats per flight: {curve.pairs}\n"
        f"  pairs of models, of whose squared gains this explains {curve.explained:.0%}."
    )


def show_starts(outcomes: dict[str, Outcome]) -> None:
    """Print, for each policy and start: log loss and trainings, the share of weekly's gain, worse versions."""
    starts = [f"{pd.Timestamp(start):%d %b}" for start in outcomes]
    losses, shares, worse = [], [], []
    for name, words in NAMES.items():
        found = [outcome.results[name] for outcome in outcomes.values()]
        losses.append([words, *(f"{LOSS.format(one.score.log_loss)} ({one.effort.trainings})" for one in found)])
        gained = ["{:.0%} [{:.0%}, {:.0%}]".format(*one.share) if name != "frozen" else "" for one in found]
        shares.append([words, *gained])
        worse.append([words, *(f"{one.worse_days} ({one.false_promotions})" for one in found)])
    for title, rows in (
        ("Log loss (trainings)", losses),
        ("Share of weekly's gain over never [95%]", shares),
        ("Days with a version live that was worse than its predecessor (versions)", worse),
    ):
        show_table(f"{title}, from each start to the end of 2013", ["Policy", *starts], rows)
    flights = ", ".join(f"{one.results[LOOP].score.rows:,}" for one in outcomes.values())
    console.print(f"  Labelled flights: {flights}. Intervals: blocks of seven days.\n  {CHANCE}")


def show_faults(real: Outcome, faulty: Outcome) -> None:
    """Print what the faults cost each policy, and what became of the spoiled version."""
    rows = []
    for name, words in NAMES.items():
        loss, before = (one.results[name].score.log_loss for one in (faulty, real))
        result = faulty.results[name]
        spoiled = f"{faulty.spoiled_days[name]}", faulty.ended_by[name]
        more = f"{loss - before:+.3f}"
        rows.append([words, LOSS.format(loss), more, str(result.effort.trainings), *spoiled])
    title = f"The year with faults, from {FAULTY[0]}, {faulty.results[LOOP].score.rows:,} labelled flights"
    columns = ["Policy", "log loss", "without faults", "trainings", "days with the spoiled model", "ended by"]
    show_table(title, columns, rows)
    console.print(
        "\n".join(f"  {one.what}: {one.first} to {one.last}" for one in (BROKEN_UNIT, INVERTED))
        + f"\n  the first retraining from {SPOILED_FROM} on learns labels of other flights"
    )


def main() -> None:
    """The real year from four starts, and the year with faults."""
    begun, settings = time.perf_counter(), config.configure()
    flights = load_flights(settings)
    years = [(real_year(flights), STARTS), (faulty_year(flights, FAULTY[0]), FAULTY)]
    with step("Learn from January to March"):
        learnt = learn_from_history(flights)
    workers = min(2, os.cpu_count() or 1)
    with (
        step("Simulate every policy in two years: about ten minutes"),
        ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool,
    ):
        real, faulty = pool.map(run_year, *zip(*years, strict=True))
    show_history(*learnt)
    show_starts(real)
    show_faults(real[FAULTY[0]], faulty[FAULTY[0]])
    console.print(f"  {time.perf_counter() - begun:.0f} seconds")
