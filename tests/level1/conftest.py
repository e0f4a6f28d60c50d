"""Three real runs of the notebook, made once for all tests of level 1."""

import shutil
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from level1_notebook.failure_demos import export_by_hand
from level1_notebook.notebook_runner import Run, RunSpec, run_notebooks
from shared.settings import Settings, read_settings


@dataclass(frozen=True)
class Runs:
    """The notebook as it is, once more, and on the export in metric units."""

    settings: Settings
    first: Run
    again: Run
    metric: Run


def lend_cache(state: Path) -> None:
    """Put the project's cache of the flights into a test's own state folder."""
    shutil.copytree(read_settings().level("shared"), state / "shared")


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory, known: pd.DataFrame) -> Runs:
    """Run in a state folder of the tests' own, which borrows the cache of the flights."""
    settings = Settings(today=date(2013, 4, 1), data=None, state=tmp_path_factory.mktemp("state"))
    lend_cache(settings.state)
    place = settings.level("level1")
    load = export_by_hand(known, place / "export" / "flights.parquet")
    orders = [RunSpec(place / "notebook"), RunSpec(place / "again"), RunSpec(place / "metric", {"load": load})]
    first, again, metric = run_notebooks(settings, orders, lambda: None)
    return Runs(settings, first, again, metric)
