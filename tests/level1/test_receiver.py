"""What the engineer finds out about the pickle."""

import pickle
from pathlib import Path

import pandas as pd
import pytest

from level1_notebook.demo import manual_steps, score_months
from level1_notebook.failure_demos import METRIC, export_by_hand, load_as_other_version, load_malicious
from level1_notebook.pickle_audit import COMMIT_OR_DIGEST, FILE_OR_DATE, questions, read_contents
from level1_notebook.receiver import hand_over, open_pickle
from shared.console import show_manual_steps
from shared.score import score
from tests.level1.runs import Runs


def test_a_malicious_pickle_runs_its_code_when_it_is_loaded(tmp_path: Path) -> None:
    assert load_malicious(tmp_path) == "a malicious model.pkl ran its own code"


def test_reading_the_contents_of_a_pickle_runs_none_of_them(tmp_path: Path) -> None:
    load_malicious(tmp_path)
    trace = tmp_path / "malicious-code-was-here"
    trace.unlink()
    assert read_contents(tmp_path / "model.pkl").callables != []
    assert not trace.exists()


def test_a_date_a_file_or_a_commit_would_be_found_if_the_pickle_had_one(tmp_path: Path) -> None:
    file = tmp_path / "model.pkl"
    file.write_bytes(pickle.dumps({"data": "flights.parquet", "as of": "2013-04-01", "commit": "9f86d081884c7d65"}))
    texts = read_contents(file).texts
    assert [text for text in texts if FILE_OR_DATE.search(text)] == ["2013-04-01", "flights.parquet"]
    assert [text for text in texts if COMMIT_OR_DIGEST.search(text)] == ["9f86d081884c7d65"]


def test_a_callable_named_twice_is_read_under_its_full_name(tmp_path: Path) -> None:
    file = tmp_path / "model.pkl"
    file.write_bytes(pickle.dumps([Path("a"), pd.Timedelta(1), Path("b")]))
    assert all(name.split(".")[0] in {"pathlib", "pandas"} for name in read_contents(file).callables)


def test_the_export_is_in_metric_units_and_otherwise_the_same(known: pd.DataFrame, tmp_path: Path) -> None:
    flights = known.head(500)
    export_by_hand(flights, tmp_path / "export.parquet")
    export = pd.read_parquet(tmp_path / "export.parquet")
    original = flights.set_axis(export.index)
    changed = [name for name in flights if not export[name].equals(original[name])]
    assert changed == [name for name in flights if name in METRIC]
    assert export["temp"].max() < (flights["temp"].max() - 32) / 1.8 + 0.01


def test_months_carry_the_log_loss_of_always_predicting_the_base_rate(later: pd.DataFrame) -> None:
    flights = later[later["scheduled_departure"] < "2013-06-01 04:00Z"].iloc[::20]
    chance = flights["late"].to_numpy() * 0.2 + 0.3
    months = score_months(flights, [chance, chance], base_rate=0.24)
    assert list(months.index) == ["2013-04", "2013-05"]
    april = flights[flights["scheduled_departure"] < "2013-05-01 04:00Z"]
    assert months.loc["2013-04", "log_loss"] == pytest.approx(score(april["late"], chance[: len(april)]).log_loss)
    assert months.loc["2013-04", "base_rate"] == pytest.approx(score(april["late"], [0.24] * len(april)).log_loss)


def test_the_manual_steps_go_back_and_forth_between_two_people() -> None:
    steps = manual_steps(cells=12, plots=5, questions=7, columns=21, months=9)
    assert {role for role, _, _ in steps} == {"data scientist", "engineer"}
    assert show_manual_steps(steps) == "7 manual steps and 4 hand-overs for one model"


@pytest.mark.slow
def test_the_pickle_cannot_tell_its_data_code_score_or_maker(runs: Runs, known: pd.DataFrame, tmp_path: Path) -> None:
    file = hand_over(runs.first.model, tmp_path / "receiver")
    asked = {question: says for question, says, _ in questions(file, open_pickle(file))}
    assert asked["Which data?"] == f"0 files or dates; its first tree saw {int(len(known) * 0.8):,} rows"
    assert asked["Which code?"].startswith("0 commits or digests")
    assert "random_state None" in asked["Which parameters?"]
    assert asked["How good?"] == "0 scores"
    assert not any("shared" in text or "notebook" in text for text in read_contents(file).texts)


@pytest.mark.slow
def test_a_pickle_of_another_scikit_learn_loads_with_no_more_than_warnings(runs: Runs) -> None:
    warned = load_as_other_version(runs.again.model)
    assert warned
    assert all("might lead to breaking code or invalid results" in text for text in warned)
