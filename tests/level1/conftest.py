"""Three real runs of the notebook, made once for all tests of level 1."""

from datetime import date

import pandas as pd
import pytest

from level1_notebook.failure_demos import export_by_hand
from level1_notebook.notebook_runner import RunSpec, read_notebook, run_notebooks
from shared.settings import Settings
from tests.level1.runs import Runs
from tests.support import lend_flights


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory, known: pd.DataFrame) -> Runs:
    """Run in a state folder of the tests' own."""
    settings = Settings(today=date(2013, 4, 1), data=None, state=tmp_path_factory.mktemp("state"))
    lend_flights(settings.state)
    place = settings.level("level1")
    load = export_by_hand(known, place / "export" / "flights.parquet")
    cell = next(c for c in read_notebook().cells if "features" in c.metadata.get("tags", []))
    keeps = {"features": f'{cell.source}\nX.to_parquet("X.parquet")'}
    specs = [RunSpec(place / "notebook"), RunSpec(place / "again", keeps), RunSpec(place / "metric", {"load": load})]
    first, again, metric = run_notebooks(settings, specs, lambda: None)
    return Runs(settings, first, again, metric)
