"""Raw tables with one fault in them, written as the published files are."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from shared.data.raw import read_raw
from shared.data.schema import DataError

To = Callable[[pd.DataFrame], pd.DataFrame]  # from the sound table to another
Change = Callable[[str, To], Path]  # the fixture `change`


def one(column: str, value: object) -> To:
    """One value of row 7 replaced."""
    return lambda table: table.assign(**{column: table[column].astype(object).where(table.index != 7, value)})


def refusal(folder: Path, *words: str) -> str:
    """The message that refuses the tables in this folder, in which these words and a remedy must stand."""
    with pytest.raises(DataError) as error:
        read_raw(folder)
    message = str(error.value)
    for word in (*words, "Remedy: "):
        assert word in message
    return message


def write(table: pd.DataFrame, file: Path) -> None:
    """Write a table the way the published one is: a CSV file, in a zip if its name says so."""
    text = table.to_csv(index=False)
    if file.suffix != ".zip":
        file.write_text(text)
        return
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr(file.stem, text)
