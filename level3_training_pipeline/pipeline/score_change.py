"""`make score`: did a change to the features or to the model help? Two codes are scored on the same flights.

The first run keeps the score of the code as it is; each later one compares the code as it is now with that, flight by
flight. Trained as of TODAY with `tune.START`, without a search, by several seeds; scored on the later flights.
"""

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic.dataclasses import dataclass
from scipy import stats

from level2_devops.features import features
from level2_devops.model import SEED, fit_features, predict_features
from level3_training_pipeline.pipeline import data, tune
from level3_training_pipeline.tracking import lineage
from shared.data.flights import load_flights
from shared.data.split import future, history
from shared.errors import UserError
from shared.files import read_json, short_commit
from shared.score import log_losses
from shared.settings import NEW_YORK, Settings

SEEDS = (SEED, 0, 1, 2)


@dataclass(frozen=True, config={"extra": "forbid"})
class Scored:
    """What a code scores. rows: flights of each week; losses: nats per flight of each week, for each of SEEDS.

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
        mean, sd = np.mean(self.by_seed), np.std(self.by_seed, ddof=1)
        return f"log loss {mean:.4f} ± {sd:.4f} (mean ± SD of {len(SEEDS)} seeds) on {sum(self.rows):,} later flights"


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
    """Train the code as it is with each of SEEDS, and score it; calls `report` after each training."""
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

    with ThreadPoolExecutor(min(len(SEEDS), os.cpu_count() or 1)) as pool:
        found = list(pool.map(losses, SEEDS))
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
