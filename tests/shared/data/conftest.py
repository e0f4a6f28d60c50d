"""The raw tables, and a small folder of them that a test may damage."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from shared.data.raw import FILES, Raw, data_folder, read_raw
from tests.shared.data.tables import Change, To, write


@pytest.fixture(scope="session")
def raw() -> Raw:
    """The raw tables of the whole year, checked."""
    return read_raw(data_folder())


@pytest.fixture(scope="session")
def sample() -> dict[str, pd.DataFrame]:
    """The published files as they are, of the flights every twentieth number: quick to write and to check.

    All days of a number: of every twentieth row, the load would say that flights are lost.
    """
    folder = data_folder()
    tables = {name: pd.read_csv(folder / file) for name, file in FILES.items()}
    flights = tables["flights"]
    number = pd.util.hash_array(
        (flights["carrier"] + flights["flight"].astype(str) + flights["origin"]).to_numpy(object)
    )
    return tables | {"flights": flights[number % 20 == 0].reset_index(drop=True)}


@pytest.fixture(scope="session")
def sound(sample: dict[str, pd.DataFrame], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound")
    for name, table in sample.items():
        write(table, folder / FILES[name])
    return folder


@pytest.fixture
def folder(sound: Path, tmp_path: Path) -> Path:
    """A folder for FLIGHTS_DATA with sound tables in it, which the test may damage."""
    return Path(shutil.copytree(sound, tmp_path / "data"))


@pytest.fixture
def change(folder: Path, sample: dict[str, pd.DataFrame]) -> Change:
    """Call it with a table's name and a function from the sound table to another: the folder gets that one."""

    def write_changed(name: str, to: To) -> Path:
        write(to(sample[name].copy()), folder / FILES[name])
        return folder

    return write_changed
