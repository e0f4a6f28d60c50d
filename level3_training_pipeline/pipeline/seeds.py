"""What chance does to a score: the same training with other seeds, scored on the flights that came after.

`make seeds` prints how far the scores of a version spread. `make score` answers whether a change to the features or to
the model helped: the first run keeps the score of the code as it is, and each later one compares the code as it is now
with that. It trains as of TODAY with `tune.START`, without a search.
"""

import hashlib
import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic.dataclasses import dataclass
from scipy import stats

from level2_devops.features import CATEGORIES, NUMBERS, features
from level2_devops.model import SEED, fit_features, predict_features
from level3_training_pipeline.pipeline import data, tune
from level3_training_pipeline.tracking import lineage, mlflow_runs, registry
from shared.console import show_table
from shared.data.flights import load_flights
from shared.data.split import future, history
from shared.errors import UserError
from shared.files import read_json, short_commit
from shared.score import Score, log_losses, plus_minus, score
from shared.settings import NEW_YORK, Settings

SEEDS = (SEED, *range(7))  # the levels' own, and seven others
COMPARED = SEEDS[:4]  # by which `make score` compares two codes


def scores_by_seed(number: str, settings: Settings, report: Callable[[], None]) -> dict[str, list[Score]]:
    """The scores of a version's training, and of level 2's on the same flights, one for each of SEEDS.

    Calls `report` after each training. Raises RegistryError where there is no such version.
    """
    client = mlflow_runs.open_tracking(settings)
    version = registry.get(client, number)
    snapshot = data.gather_again(settings, version.tags)
    table = data.read(data.build_features(snapshot))
    later = future(load_flights(settings), snapshot.now)
    inputs = features(later)
    recipes = {f"version {number}": json.loads(version.tags["parameters"]), "level 2's parameters": {}}

    def trained(parameters: dict[str, float], seed: int) -> Score:
        model = fit_features(table[CATEGORIES + NUMBERS], table["late"], **parameters, random_state=seed)
        report()
        return score(later["late"], predict_features(model, inputs))

    return {name: [trained(parameters, seed) for seed in SEEDS] for name, parameters in recipes.items()}


def show_spread(scores: dict[str, list[Score]]) -> None:
    """Print mean ± SD, lowest and highest of log loss and AUC."""
    rows = []
    for name, found in scores.items():
        for figure, title in (("log_loss", "log loss"), ("auc", "AUC")):
            values = [getattr(one, figure) for one in found]
            rows.append([name, title, plus_minus(values, 4), f"{min(values):.4f}", f"{max(values):.4f}"])
    flights, seeds = next(iter(scores.values()))[0].rows, len(SEEDS)
    title = f"{seeds} seeds, scored on the {flights:,} flights that came after"
    show_table(title, ["", "", "mean ± SD", "lowest", "highest"], rows)


@dataclass(frozen=True, config={"extra": "forbid"})
class Scored:
    """What a code scores. rows: flights of each week; losses: nats per flight of each week, for each of COMPARED.

    flights: digest of the flights and their labels, which two scores must have in common.
    """

    commit: str
    code: str
    flights: str
    rows: list[int]
    losses: list[list[float]]

    @property
    def by_seed(self) -> list[float]:
        """The mean log loss of each seed."""
        return [float(np.average(weeks, weights=self.rows)) for weeks in self.losses]

    def __str__(self) -> str:
        """As part of a sentence."""
        loss, seeds = plus_minus(self.by_seed, 4), len(self.losses)
        return f"log loss {loss} (mean ± SD of {seeds} seeds) on {sum(self.rows):,} later flights"


def file_of(settings: Settings) -> Path:
    """Where the score is kept that later codes are compared with."""
    return settings.level("level3") / f"score-{settings.today}.json"


def read_kept(settings: Settings) -> Scored | None:
    """The score that was kept, if there is one; raises StateError."""
    try:
        return read_json(file_of(settings), Scored, "make score KEEP=1")
    except FileNotFoundError:
        return None


def measure(settings: Settings, report: Callable[[], None]) -> Scored:
    """Train the code as it is with each of COMPARED, and score it; calls `report` after each training."""
    flights = load_flights(settings)
    known = data.sample(history(flights, settings.now), settings.now)
    later = future(flights, settings.now)
    learn, inputs, late = features(known), features(later), later["late"]
    days = later["scheduled_departure"].dt.tz_convert(NEW_YORK).dt.tz_localize(None).dt.normalize()
    week = (days - pd.Timestamp(settings.today)).dt.days // 7
    rows = week.groupby(week).size()

    def losses(seed: int) -> list[float]:
        model = fit_features(learn, known["late"], **tune.START, random_state=seed)
        found = pd.Series(log_losses(late, predict_features(model, inputs)), index=later.index)
        report()
        return [float(loss) for loss in found.groupby(week).mean()]

    with ThreadPoolExecutor(min(len(COMPARED), os.cpu_count() or 1)) as pool:
        found = list(pool.map(losses, COMPARED))
    digest = hashlib.sha256(pd.util.hash_pandas_object(later[["flight_id", "late"]]).to_numpy().tobytes()).hexdigest()
    return Scored(lineage.commit(), lineage.code_digest(), digest, rows.tolist(), found)


def compare(kept: Scored, now: Scored) -> str:
    """Whether `now` is better than what was kept, as a sentence with its figures; raises UserError for other flights.

    The interval counts two kinds of chance: which weeks came (mean paired differences of weeks, since bad days come in
    rows) and which seed was drawn (the spread over seeds, of both). Its degrees of freedom are those of the seeds.
    """
    if kept.flights != now.flights:
        raise UserError(
            "the kept score is of other flights or labels, so the difference would not be the model's. "
            "Remedy: make score KEEP=1 with the code before your change, then make score with it."
        )
    weights = np.array(now.rows) / sum(now.rows)
    gains = np.mean(kept.losses, axis=0) - np.mean(now.losses, axis=0)  # of each week
    gain, weeks, seeds = float(gains @ weights), len(gains), len(now.losses)
    of_weeks = weeks / (weeks - 1) * float(weights**2 @ (gains - gain) ** 2) if weeks > 1 else np.inf
    of_seeds = sum(float(np.var(one.by_seed, ddof=1)) for one in (kept, now)) / seeds
    half = float(stats.t.isf(0.025, 2 * (seeds - 1))) * (of_weeks + of_seeds) ** 0.5
    finding = "Better" if gain > half else "Worse" if gain < -half else "Cannot tell"
    return (
        f"{finding}: log loss {abs(gain):.4f} nats per flight {'lower' if gain >= 0 else 'higher'} than of commit "
        f"{short_commit(kept.commit)} (gain {gain:+.4f}, 95% interval {gain - half:+.4f} to {gain + half:+.4f}; "
        f"paired, {sum(now.rows):,} flights, {weeks} weeks, {seeds} seeds)"
    )
