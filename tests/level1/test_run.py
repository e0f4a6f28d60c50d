"""The level as a command, and its README."""

import re
import sys
from pathlib import Path

import pandas as pd
import pytest

from level1_notebook.demo import score_months
from level1_notebook.jupyter_environment import NOTEBOOK
from level1_notebook.receiver import columns, open_pickle, predict
from shared.settings import NEW_YORK, PROJECT
from tests.foreign import contents, foreign_settings
from tests.level1.runs import Runs
from tests.silence import ALLOWED, Said, listen
from tests.support import lend_flights
from tests.terminal import closing_screen

README = (PROJECT / "level1_notebook" / "README.md").read_text(encoding="utf-8")
ROWS = [line.strip("| ").split(" | ") for line in README.splitlines() if line.startswith("| 2013-")]


@pytest.mark.slow
def test_the_readmes_months_are_those_of_the_data_and_its_scores_those_of_such_a_run(
    runs: Runs, known: pd.DataFrame, later: pd.DataFrame
) -> None:
    chance = predict(open_pickle(runs.first.model), columns(later, known))
    months = score_months(later, [chance], known["late"].mean())
    assert [row[0] for row in ROWS] == list(months.index)
    for (_, flights, late, log_loss, base_rate, auc), (_, month) in zip(ROWS, months.iterrows(), strict=True):
        assert (flights, late) == (f"{month['rows']:,.0f}", f"{month['late']:.1%}")
        assert base_rate == f"{month['base_rate']:.2f}"
        assert float(log_loss) == pytest.approx(month["log_loss"], abs=0.12)  # no two runs give the same model
        assert float(auc) == pytest.approx(month["auc"], abs=0.06)


def test_the_readmes_total_is_the_sum_of_its_months() -> None:
    total = sum(int(row[1].replace(",", "")) for row in ROWS)
    assert README.count(f"{total:,}") == 2
    claimed = re.search(r"claimed log loss [\d.]+ ± [\d.]+ and\s+AUC ([\d.]+) ±", README)
    assert claimed
    assert all(float(row[5]) < float(claimed[1]) for row in ROWS)


def run_level(*words: str, **settings: str) -> Said:
    return listen([sys.executable, "-m", "level1_notebook", *words], **settings)


@pytest.mark.slow
def test_the_command_prints_every_part_and_writes_only_its_state(flights: pd.DataFrame, tmp_path: Path) -> None:
    before, home = NOTEBOOK.read_bytes(), tmp_path / "home"
    lend_flights(tmp_path / "state")
    home.mkdir()
    foreign = foreign_settings(tmp_path / "foreign")
    untouched = contents(tmp_path / "foreign")
    ours = {"TODAY": "2013-03-01", "MLOPS_STATE": str(tmp_path / "state"), "HOME": str(home)}
    done = run_level(**foreign, **ours)
    assert (done.status, done.err) == (0, "")
    assert done.longest < ALLOWED, done.silences[:3]
    assert closing_screen(done.out, str(tmp_path / "state"))[-1].startswith("next make level2")
    printed = " ".join(done.out.split())
    after = int((flights["late"].notna() & (flights["predicted_at"] >= pd.Timestamp("2013-03-01", tz=NEW_YORK))).sum())
    assert re.search(
        r"notebook log loss 0\.\d{3} ± 0\.\d{3}, AUC 0\.\d{3} ± 0\.\d{3} \(mean ± SD of 5 runs\) on "
        rf"{after:,} flights of 2013-03 to 2013-12",
        printed,
    )
    for words in (
        "Which data?",
        "Manual steps",
        "The claim does not hold",
        "up to 0.",
        "other units: 0 warnings",
        "next make level2",
    ):
        assert words in printed
    assert NOTEBOOK.read_bytes() == before
    assert list(home.iterdir()) == []
    assert contents(tmp_path / "foreign") == untouched


@pytest.mark.slow
@pytest.mark.usefixtures("flights")  # they make the cache that is lent
def test_a_day_with_no_flight_after_it_is_refused_in_one_line(tmp_path: Path) -> None:
    lend_flights(tmp_path)
    done = run_level("--quiet", TODAY="2014-01-01", MLOPS_STATE=str(tmp_path))
    error = "error: TODAY=2014-01-01: no flight comes after it. Remedy: choose an earlier day."
    assert (done.status, done.out, done.err) == (2, "", error + "\n")
    story = (tmp_path / "level1" / "story.html").read_text(encoding="utf-8")
    assert "1 Data" in story
    assert error in " ".join(story.split())
