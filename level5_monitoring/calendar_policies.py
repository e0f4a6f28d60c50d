"""What other policies would have been worth on the same flights: never retrained, by hand each month, each week.

It trains by the calendar and writes one row per labelled flight. Every model learns from what was known on its
day, by the recipe of level 3's pipeline, and goes live at once, as no pipeline would.
"""

import os

import pandas as pd

from level2_devops.features import features
from level2_devops.model import fit_features, predict_features
from level3_training_pipeline.pipeline import data, tune
from level5_monitoring import config
from shared.console import bar
from shared.data.flights import load_flights, write_whole
from shared.data.split import future, history
from shared.errors import command
from shared.settings import NEW_YORK

FILE = "worth.parquet"
POLICIES = ["frozen", "monthly", "weekly"]
COLUMNS = ["flight_id", "week", "late"]


def mondays(start: pd.Timestamp, end: pd.Timestamp) -> pd.DatetimeIndex:
    """The days on which the weekly policy trains: `start` itself, then every Monday; midnights in New York."""
    later = pd.date_range(start.tz_convert(NEW_YORK), end.tz_convert(NEW_YORK), freq="D")
    return later[(later == start) | (later.weekday == 0)]


def first_of_month(days: pd.DatetimeIndex) -> list[bool]:
    """Which of these days the monthly policy trains on: the first one, and the first of each later month."""
    months = days.tz_localize(None).to_period("M")
    return [i == 0 or months[i] != months[i - 1] for i in range(len(days))]


def by_calendar(flights: pd.DataFrame, start: pd.Timestamp) -> pd.DataFrame:
    """Probabilities of each policy for every labelled flight predicted from `start` on: COLUMNS and POLICIES."""
    inputs = features(flights)
    table = inputs.join(flights[data.KEPT])
    later = future(table, start)
    days = mondays(start, later["predicted_at"].max())
    monthly = first_of_month(days)
    of = days.searchsorted(later["predicted_at"].dt.tz_convert(NEW_YORK), side="right") - 1
    found = pd.DataFrame(dict.fromkeys(POLICIES, 0.0), index=later.index)
    with bar(f"Train by the calendar: {len(days)} times weekly, {sum(monthly)} of them monthly", len(days)) as advance:
        for i, day in enumerate(days):
            known = data.sample(history(table, day), day)
            model = fit_features(known[inputs.columns], known["late"], **tune.START)
            until = next((j for j in range(i + 1, len(days)) if monthly[j]), len(days))
            live = {"weekly": of == i, "monthly": (of >= i) & (of < until) & monthly[i], "frozen": (of >= 0) & (i == 0)}
            for policy, rows in live.items():
                if rows.any():
                    found.loc[rows, policy] = predict_features(model, later.loc[rows, inputs.columns])
            advance()
    week = pd.Series(days.strftime("%Y-%m-%d"))[of].to_numpy()
    return pd.concat([later[["flight_id"]].assign(week=week, late=later["late"]), found], axis=1)


def main() -> None:
    """Train by the calendar, as of every Monday, and write what would have been answered."""
    if hasattr(os, "nice"):  # Windows has none
        os.nice(10)  # whoever answers users on this machine goes first
    settings = config.configure()
    write_whole(by_calendar(load_flights(settings), settings.now), config.own(settings) / FILE)


if __name__ == "__main__":
    command(main)
