"""`make benchmark-policies`: what each retraining policy is worth, from four starts, and in a year with faults put in.

Every policy is simulated by `policy_simulation`: the real models, and for the loop its real monitors, policy and test.
"""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np
import pandas as pd

from level5_monitoring import config
from level5_monitoring.fault_injection import inject_fault, inject_label_fault
from level5_monitoring.policy_comparison import (
    CALENDAR,
    LOOP,
    POLICIES,
    Effort,
    PolicyResult,
    columns_of,
    compare_policies,
    days_of_calendar,
    training_nights,
)
from level5_monitoring.policy_simulation import Loop, Models, Platform, SimulatedYear, by_calendar, midnight, simulate
from shared.console import console, show_table, step
from shared.data.flights import load_flights

STARTS, END = ("2013-04-01", "2013-05-01", "2013-06-01", "2013-07-01"), "2013-12-31"
FAULTY = STARTS[:1]  # the start of the year with faults
BROKEN_UNIT = ("2013-07-15", "2013-07-24")  # the boards send recent delays in hours: first and last day
INVERTED = ("2013-09-02", "2013-09-08")  # labels of these days of departure
SPOILED_FROM = "2013-10-01"  # the first training of each policy from here on learns shuffled labels


@dataclass(frozen=True)
class Outcome:
    """What became of the policies from one start. spoiled_days: by policy, on which the spoiled version answered users.

    ended_by: by policy, what ended it.
    """

    results: dict[str, PolicyResult]
    spoiled_days: dict[str, int]
    ended_by: dict[str, str]


def faulty_year(flights: pd.DataFrame) -> SimulatedYear:
    """The year with three faults in it: BROKEN_UNIT, INVERTED, SPOILED_FROM; training and serving see the same tables."""
    day = flights["flight_id"].str[:10]
    broken, inverted = day.between(*BROKEN_UNIT), day.between(*INVERTED)
    parts = [flights[~broken], inject_fault(flights[broken], "hours", 3)]
    sent = pd.concat(parts).sort_index()
    late = inject_label_fault(sent.loc[inverted], "labels flipped", 3)["late"]
    truth = flights["late"].to_numpy(float)
    return SimulatedYear(sent.assign(late=sent["late"].where(~inverted, late)), truth, SPOILED_FROM)


def run_year(year: SimulatedYear, starts: tuple[str, ...]) -> dict[str, Outcome]:
    """All policies from each start; models that several need are trained once."""
    models = Models(year)
    return {start: run_start(models, start) for start in starts}


def run_start(models: Models, start: str) -> Outcome:
    """All policies from one start, compared on what really happened."""
    flights, truth = models.year.flights, models.year.truth
    nights = training_nights(midnight(start), midnight(END))
    played: dict[str, Platform] = {}
    for name in CALENDAR:
        turn = by_calendar(nights[name], tried=name == "six_weeks_tried")
        played[name] = simulate(models, start, END, turn)
    played[LOOP] = simulate(models, start, END, Loop(models, start))
    table = flights[["flight_id", "scheduled_departure"]].assign(late=truth)
    for name, platform in played.items():
        table = table.assign(**columns_of(name, platform))
    table = table[table["late"].notna()]
    effort = Effort(trainings=played[LOOP].trainings, steps=0)
    results = compare_policies(table, effort, days_of_calendar(table.dropna(subset=[LOOP]), LOOP))
    lived = {name: _spoiled_days(platform, flights) for name, platform in played.items()}
    return Outcome(results, lived, {name: _ended_by(platform) for name, platform in played.items()})


def _spoiled_days(platform: Platform, flights: pd.DataFrame) -> int:
    """The days on which the spoiled version answered users."""
    answered = flights["flight_id"].str[:10][platform.version == (platform.spoiled or -1)]
    return answered.nunique()


def _ended_by(platform: Platform) -> str:
    """What ended the spoiled version."""
    if platform.spoiled is None:
        return ""
    if platform.spoiled in platform.refused:
        return "the gate refused it"
    if platform.spoiled not in {one.number for one in platform.promoted}:
        return "the trial ended without it"
    return "the next training"
