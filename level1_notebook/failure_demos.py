"""Three failures that this level cannot prevent: a table in other units, another library version, a malicious file."""

import pickle
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from level1_notebook.receiver import open_pickle
from shared.artefacts import NOTEBOOK_MODEL

METRIC = {  # a colleague exports the table by hand, and converts these columns on the way
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


def load_as_other_version(file: Path) -> list[str]:
    """Load the pickle as if another version of scikit-learn had written it; returns the warnings."""
    ours = open_pickle(file).__getstate__()["_sklearn_version"].encode()
    other = file.with_name("other-version.pkl")
    other.write_bytes(file.read_bytes().replace(ours, b"0" + ours[1:]))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        open_pickle(other)
    return [str(warning.message) for warning in caught]


@dataclass
class Malicious:
    """Not a model: unpickling it makes the file `trace`. It could delete a file just as well."""

    trace: Path

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        """What pickle stores instead of the object: a call that is made when the file is loaded."""
        return Path.touch, (self.trace,)


def load_malicious(folder: Path) -> str:
    """Load a malicious pickle, made in `folder` under the model's name; returns whether its code ran."""
    folder.mkdir(parents=True, exist_ok=True)
    file, trace = folder / NOTEBOOK_MODEL, folder / "malicious-code-was-here"
    trace.unlink(missing_ok=True)
    file.write_bytes(pickle.dumps(Malicious(trace)))
    open_pickle(file)
    return f"a malicious {file.name} {'ran its own code' if trace.exists() else 'did nothing'}"
