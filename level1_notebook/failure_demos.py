"""What the receiver tries on the notebook and its pickle: a table in other units, a foreign version, a strange file."""

import pickle
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from level1_notebook.receiver import open_pickle
from shared.artefacts import NOTEBOOK_MODEL

# Somebody exports the table by hand for a colleague, and "tidies it up" on the way.
METRIC = {
    "temp": lambda fahrenheit: (fahrenheit - 32) / 1.8,  # °C
    "dewp": lambda fahrenheit: (fahrenheit - 32) / 1.8,
    "wind_speed": lambda mph: mph * 1.609344,  # km/h
    "wind_gust": lambda mph: mph * 1.609344,
    "visib": lambda miles: miles * 1.609344,  # km
    "airport_delay_1h": lambda minutes: minutes / 60,  # hours
}


def export_by_hand(flights: pd.DataFrame, file: Path) -> str:
    """Write the flights in metric units and hours, and return the notebook cell that loads them."""
    file.parent.mkdir(parents=True, exist_ok=True)
    flights.assign(**{name: convert(flights[name]) for name, convert in METRIC.items()}).to_parquet(file)
    return f'df = pd.read_parquet("{file.as_posix()}")'


def load_as_of_another_version(file: Path) -> list[str]:
    """Load the pickle with another scikit-learn's number written into it; returns the warnings, if it loads at all."""
    ours = open_pickle(file).__getstate__()["_sklearn_version"].encode()
    foreign = file.with_name("foreign.pkl")
    foreign.write_bytes(file.read_bytes().replace(ours, b"0" + ours[1:]))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        open_pickle(foreign)
    return [str(warning.message) for warning in caught]


@dataclass
class Stranger:
    """Not a model at all: unpickling it makes the file `trace`. It could as well delete one."""

    trace: Path

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        """What pickle stores in place of the object: a call to make when it is loaded."""
        return Path.touch, (self.trace,)


def load_a_stranger(folder: Path) -> str:
    """Load another pickle of the model's name, made in `folder`, and tell whether its code ran."""
    folder.mkdir(parents=True, exist_ok=True)
    file, trace = folder / NOTEBOOK_MODEL, folder / "the-stranger-was-here"
    trace.unlink(missing_ok=True)
    file.write_bytes(pickle.dumps(Stranger(trace)))
    open_pickle(file)
    return f"a stranger's {file.name} {'ran its own code' if trace.exists() else 'did nothing'}"
