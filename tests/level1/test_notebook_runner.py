"""Runs of the notebook without a screen, as a user meets them."""

from pathlib import Path

import nbformat
import pandas as pd
import pytest

from level1_notebook.notebook_runner import NotebookError, Run, code_cells, read_notebook, run_notebooks
from level1_notebook.receiver import columns, open_pickle, predict
from shared.score import score
from shared.settings import Settings
from tests.level1.runs import Chances, Runs


@pytest.mark.slow
def test_a_cell_that_fails_is_named_and_the_notebook_kept_as_far_as_it_came(settings: Settings, tmp_path: Path) -> None:
    replace = {"load": 'df = pd.read_parquet("not-there.parquet")'}
    with pytest.raises(NotebookError, match=r"code cell 2 of 12 stopped with FileNotFoundError: .*not-there.*Remedy"):
        run_notebooks(settings, {tmp_path / "run": replace}, lambda: None)
    assert (tmp_path / "run" / "flight_delays.ipynb").exists()
    assert not (tmp_path / "run" / "model.pkl").exists()


@pytest.mark.slow
def test_a_kernel_that_dies_is_reported(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(NotebookError, match="Kernel died"):
        run_notebooks(settings, {tmp_path / "run": {"load": "import os; os._exit(3)"}}, lambda: None)


@pytest.mark.slow
def test_a_run_reports_every_cell_honours_today_and_writes_nothing_at_home(
    runs: Runs, flights: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("TODAY", "2013-12-24")  # the settings given count, not the environment around
    early = Settings(today=pd.Timestamp("2013-03-01").date(), data=None, state=runs.state)
    cells = []
    run = run_notebooks(early, {tmp_path / "run": {}}, lambda: cells.append(1))[0]
    assert len(cells) == code_cells()
    known = int((flights["label_known_at"] < early.now).sum())
    assert f"{known:,} flights" in str([cell.get("outputs") for cell in run.notebook.cells])
    assert list(home.iterdir()) == []


@pytest.mark.slow
def test_a_run_leaves_a_model_and_a_claim(runs: Runs, known: pd.DataFrame) -> None:
    assert 0.3 < runs.first.claim.log_loss < 0.6
    assert 0.7 < runs.first.claim.auc < 0.85
    assert runs.first.plots >= 5
    model = open_pickle(runs.first.model)
    chance = predict(model, columns(known.head(1000), known))
    assert ((chance > 0) & (chance < 1)).all()


def test_a_notebook_that_prints_no_score_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotebookError, match="prints no score"):
        _ = Run(nbformat.v4.new_notebook(), tmp_path / "model.pkl").claim


@pytest.mark.slow
def test_the_claim_does_not_hold_on_the_flights_that_come_after(
    runs: Runs, later: pd.DataFrame, chances: Chances
) -> None:
    then = score(later["late"], chances[0])
    assert then.log_loss > runs.first.claim.log_loss + 0.03
    assert then.auc < runs.first.claim.auc - 0.04


@pytest.mark.slow
def test_two_runs_give_two_models(runs: Runs, chances: Chances) -> None:
    assert runs.first.model.read_bytes() != runs.again.model.read_bytes()
    one, other, _ = chances
    assert abs(one - other).max() > 0.1
    assert ((one > 0.5) != (other > 0.5)).sum() > 1000


@pytest.mark.slow
def test_a_table_in_other_units_trains_without_a_word_and_claims_as_much(
    runs: Runs, later: pd.DataFrame, chances: Chances
) -> None:
    assert runs.metric.warnings == []
    assert runs.metric.claim.log_loss == pytest.approx(runs.first.claim.log_loss, abs=0.03)
    good, bad = (score(later["late"], chance) for chance in (chances[0], chances[2]))
    assert bad.log_loss > good.log_loss


@pytest.mark.slow
def test_the_receivers_copy_of_the_columns_is_what_the_notebook_makes(
    runs: Runs, known: pd.DataFrame, tmp_path: Path
) -> None:
    cell = next(c for c in read_notebook().cells if "features" in c.metadata.get("tags", []))
    until_there = f'{cell.source}\nX.to_parquet("X.parquet")\nraise RuntimeError("far enough")'
    settings = Settings(today=pd.Timestamp("2013-04-01").date(), data=None, state=runs.state)
    with pytest.raises(NotebookError, match="far enough"):
        run_notebooks(settings, {tmp_path / "run": {"features": until_there}}, lambda: None)
    made = pd.read_parquet(tmp_path / "run" / "X.parquet")
    pd.testing.assert_frame_equal(columns(known, known), made, check_dtype=False)
    assert list(open_pickle(runs.first.model).feature_names_in_) == list(made.columns)
