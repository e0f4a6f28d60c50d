"""The simulated year and its models. Policies share them: a model that two policies need is trained once.

A night is named by the day that begins with it (YYYY-MM-DD, New York).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from level2_devops.features import CATEGORIES, NUMBERS, features
from level2_devops.model import fit_features, predict_features
from level3_training_pipeline.pipeline import data, tune
from level4_deployment.experiment.labels import LABELS_DUE_AFTER
from level5_monitoring.live_year.faulty_year import SPOILED_FROM, shuffle_labels, with_faults
from shared.data.flights import digest
from shared.data.split import history
from shared.score import by_slice
from shared.settings import NEW_YORK

Floats = NDArray[np.floating[Any]]
Rows = NDArray[np.intp]
INPUTS = CATEGORIES + NUMBERS
NEVER = "9999-01-01"
PARTS = 10  # in which a model predicts the rest of the year: all at once takes 150 MB


def shift(day: str, days: int) -> str:
    """The day (YYYY-MM-DD) so many days later."""
    return str((pd.Timestamp(day) + pd.Timedelta(days=days)).date())


def midnight(day: str) -> pd.Timestamp:
    """The instant at which a day begins in New York."""
    return pd.Timestamp(day, tz=NEW_YORK).tz_convert("UTC")


def _rows_by_day(instants: pd.Series) -> dict[str, Rows]:
    days = instants.dt.tz_convert(NEW_YORK).dt.tz_localize(None).dt.to_period("D").astype(str)
    return {str(day): rows for day, rows in days.groupby(days).indices.items()}


@dataclass(frozen=True)
class SimulatedYear:
    """A year's flights as requested and their labels as sent: the columns of `schema.FLIGHT`, in order of prediction.

    truth: (n,) whether each was late, NaN where nobody knows. spoiled_from: the first retraining of each policy from
    this night on learns from labels that were joined to the wrong flights.
    """

    flights: pd.DataFrame
    truth: Floats
    spoiled_from: str = NEVER

    @cached_property
    def table(self) -> pd.DataFrame:
        """The features, with label and instants beside them."""
        return features(self.flights).join(self.flights[data.KEPT])

    @cached_property
    def names(self) -> pd.Index:
        """The flights by their id."""
        return pd.Index(self.flights["flight_id"])

    @cached_property
    def asked(self) -> dict[str, Rows]:
        """The rows that are predicted on each day."""
        return _rows_by_day(self.flights["predicted_at"])

    @cached_property
    def departing(self) -> dict[str, Rows]:
        """The rows that depart on each day."""
        return _rows_by_day(self.flights["scheduled_departure"])

    @cached_property
    def labels(self) -> Floats:
        """(n,) the label of each flight, if it was sent before its day was closed; else NaN."""
        due = np.full(len(self.flights), np.inf)
        known = self.flights["label_known_at"].astype("int64").to_numpy() / 1e6
        for day, rows in self.departing.items():
            due[rows] = (pd.Timestamp(day, tz=NEW_YORK) + pd.DateOffset(days=1) + LABELS_DUE_AFTER).timestamp()
        in_time = self.flights["label_known_at"].notna().to_numpy() & (known <= due)
        return np.where(in_time, self.flights["late"].to_numpy(float), np.nan)


def real_year(flights: pd.DataFrame) -> SimulatedYear:
    """The year without faults."""
    return SimulatedYear(flights, flights["late"].to_numpy(float))


def faulty_year(flights: pd.DataFrame, begin: str) -> SimulatedYear:
    """The year with the faults that begin on `begin` or later; trainings and answers see the same tables."""
    return SimulatedYear(with_faults(flights, begin), flights["late"].to_numpy(float), SPOILED_FROM)


@dataclass(frozen=True)
class Version:
    """A trained model. probability: (n,) of every later flight, else NaN; evaluate: see `Models.evaluate`."""

    number: int
    night: str
    probability: Floats
    evaluate: Callable[[], pd.DataFrame]


class Models:
    """The models of a year; equal trainings of several policies are made once.

    like: of another year, whose fits serve for this one too where the tables that they learnt from are equal.
    """

    def __init__(self, year: SimulatedYear, like: "Models | None" = None) -> None:
        self.year = year
        self.made: dict[Any, Any] = {}
        self.fits: dict[str, Any] = like.fits if like else {}

    def train(self, night: str, without: Sequence[str] = (), *, spoiled: bool = False) -> Floats:
        """(n,) probabilities of a model of what is known at night, of every flight from then on."""
        return self._once(self._train, night, tuple(without), spoiled)

    def evaluate(self, night: str, without: Sequence[str] = (), *, spoiled: bool = False) -> pd.DataFrame:
        """Rows and loss by day of the last 14 days, of a model that was fitted before them, as level 3 evaluates it."""
        return self._once(self._evaluate, night, tuple(without), spoiled)

    def test_rows(self, night: str, without: Sequence[str] = ()) -> pd.DataFrame:
        """The flights of the last 14 days, by which a training is evaluated."""
        return data.windows(self._known(night, without), midnight(night))[3]

    def _once(self, make: Callable[..., Any], *of: object) -> Any:
        key = make.__name__, *of
        if key not in self.made:
            self.made[key] = make(*of)
        return self.made[key]

    def _known(self, night: str, without: Sequence[str], spoiled: bool = False) -> pd.DataFrame:  # noqa: FBT001, FBT002
        known = history(self.year.table, midnight(night))
        known = shuffle_labels(known, midnight(night)) if spoiled else known
        return data.sample(known, midnight(night), without)

    def _train(self, night: str, without: Sequence[str], spoiled: bool) -> Floats:  # noqa: FBT001
        known = self._known(night, without, spoiled)
        same = digest(known)
        if same not in self.fits:
            self.fits[same] = _fit(known)
        model = self.fits[same]
        later = (self.year.table["predicted_at"] >= midnight(night)).to_numpy()
        found = np.full(len(later), np.nan, dtype=np.float32)  # forty models are kept: 50 MB
        for rows in np.array_split(np.flatnonzero(later), PARTS):
            found[rows] = predict_features(model, self.year.table.iloc[rows][INPUTS])
        return found

    def _evaluate(self, night: str, without: Sequence[str], spoiled: bool) -> pd.DataFrame:  # noqa: FBT001
        _, _, fit_on, test = data.windows(self._known(night, without, spoiled), midnight(night))
        return losses_by_day(test, predict_features(_fit(fit_on), test[INPUTS]))


def _fit(known: pd.DataFrame) -> Any:
    return fit_features(known[INPUTS], known["late"], **tune.START)


def losses_by_day(flights: pd.DataFrame, probability: Floats) -> pd.DataFrame:
    """Rows and log loss by day of departure."""
    return by_slice(flights.assign(day=flights["flight_id"].str[:10]), probability, "day")
