"""What the tests of the problem share: the raw tables, and a small folder of them that may be damaged."""

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from shared.data.raw import FILES, Raw, data_folder, read_raw

To = Callable[[pd.DataFrame], pd.DataFrame]
Change = Callable[[str, Callable[[pd.DataFrame], pd.DataFrame]], Path]


@pytest.fixture(scope="session")
def raw() -> Raw:
    """The raw tables of the whole year, checked."""
    return read_raw(data_folder())


@pytest.fixture(scope="session")
def sample() -> dict[str, pd.DataFrame]:
    """The published files as they are, of the flights every twentieth row: quick to write and to check."""
    folder = data_folder()
    tables = {name: pd.read_csv(folder / file) for name, file in FILES.items()}
    return tables | {"flights": tables["flights"].iloc[::20].reset_index(drop=True)}


@pytest.fixture(scope="session")
def sound(sample: dict[str, pd.DataFrame], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample as files."""
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

    def write_changed(name: str, to: Callable[[pd.DataFrame], pd.DataFrame]) -> Path:
        write(to(sample[name].copy()), folder / FILES[name])
        return folder

    return write_changed


def one(column: str, value: object) -> To:
    """One value of row 7 replaced."""
    return lambda table: table.assign(**{column: table[column].astype(object).where(table.index != 7, value)})


def write(table: pd.DataFrame, file: Path) -> None:
    """Write a table the way the published one is: a CSV file, in a zip if its name says so."""
    text = table.to_csv(index=False)
    if file.suffix != ".zip":
        file.write_text(text)
        return
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr(file.stem, text)
