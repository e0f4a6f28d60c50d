"""The engineer who receives the pickle, and must make it work on the flights that come after."""

import pickle
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from shared.settings import NEW_YORK

CODED = ["carrier", "origin", "dest"]
WEATHER = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"]


def hand_over(model: Path, folder: Path) -> Path:
    """Copy the pickle to the receiver's folder: that is the whole hand-over."""
    folder.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copyfile(model, folder / model.name))


def open_pickle(file: Path) -> HistGradientBoostingClassifier:
    """The model in `file`. Loading a pickle executes the code that it names."""
    return pickle.loads(file.read_bytes())  # noqa: S301 - the level shows what is wrong with it


def columns(flights: pd.DataFrame, training: pd.DataFrame) -> pd.DataFrame:
    """(n, 21) columns for the model, copied by hand from the notebook, so the two can drift apart.

    training: the flights that the notebook had. Its codes of carriers and airports are their places in the sorted
    names of those flights; they are not in the pickle, so they are made again here (-1: an unknown name).
    """
    local = flights["scheduled_departure"].dt.tz_convert(NEW_YORK)
    x = pd.DataFrame({"distance": flights["distance"], "month": local.dt.month, "day": local.dt.day})
    x["weekday"], x["hour"] = local.dt.dayofweek, local.dt.hour
    x["minute"] = local.dt.hour * 60 + local.dt.minute
    for name in CODED:
        places = {value: place for place, value in enumerate(sorted(training[name].unique()))}
        x[name] = flights[name].map(places).fillna(-1)
    x[WEATHER] = flights[WEATHER]
    x["wind_gust"] = x["wind_gust"].fillna(0)
    x["temp"] = x["temp"].fillna(37)
    x["board"] = flights["airport_delay_1h"].fillna(8).clip(-10, 120)
    x["bad_weather"] = ((x["visib"] < 5) | (x["precip"] > 0)).astype(int)
    x["rush"] = x["hour"].between(14, 22).astype(int)
    return x


def predict(model: HistGradientBoostingClassifier, x: pd.DataFrame) -> NDArray[np.float64]:
    """(n,) probabilities of being late, from columns in the notebook's order."""
    with threadpool_limits(1, user_api="openmp"):  # on shared cores, trees on many threads wait for each other
        return model.predict_proba(x)[:, 1]


def difference(one: NDArray[np.float64], other: NDArray[np.float64]) -> str:
    """How far the predictions of two models differ on the same flights, in words."""
    largest, crossed = np.abs(one - other).max(), ((one > 0.5) != (other > 0.5)).sum()
    return f"up to {largest:.2f} apart, {crossed:,} of {len(one):,} flights on the other side of 50%"
