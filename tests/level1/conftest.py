"""One real run of the level, made once for all tests of level 1, among settings of other projects."""

import sys

import nbformat
import pandas as pd
import pytest

from level1_notebook.jupyter_environment import NOTEBOOK
from level1_notebook.notebook_runner import Run
from level1_notebook.receiver import columns, open_pickle, predict
from shared.artefacts import NOTEBOOK_MODEL
from tests.foreign import contents, foreign_settings
from tests.level1.runs import Chances, Runs
from tests.silence import listen
from tests.support import lend_flights


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory, flights: pd.DataFrame) -> Runs:
    """Run the command in a state folder and a home of the tests' own; `flights` makes the cache that is lent."""
    folder = tmp_path_factory.mktemp("level1")
    state, home, foreign = folder / "state", folder / "home", folder / "foreign"
    lend_flights(state)
    home.mkdir()
    theirs = foreign_settings(foreign)
    before, notebook = contents(foreign), NOTEBOOK.read_bytes()
    ours = {"TODAY": "2013-04-01", "MLOPS_STATE": str(state), "HOME": str(home)}
    said = listen([sys.executable, "-m", "level1_notebook"], **theirs, **ours)
    assert (said.status, said.err) == (0, ""), said.out[-2000:] + said.err[-2000:]
    assert list(home.iterdir()) == []
    assert contents(foreign) == before
    assert NOTEBOOK.read_bytes() == notebook
    first, again, metric = (
        Run(nbformat.read(place / NOTEBOOK.name, as_version=4), place / NOTEBOOK_MODEL)
        for place in (state / "level1" / name for name in ("run1", "run2", "metric"))
    )
    return Runs(state, said, first, again, metric)


@pytest.fixture(scope="session")
def chances(runs: Runs, known: pd.DataFrame, later: pd.DataFrame) -> Chances:
    """What the models of the first run, of the next and of the one in metric units give the flights that came after."""
    x = columns(later, known)
    return tuple(predict(open_pickle(run.model), x) for run in (runs.first, runs.again, runs.metric))
