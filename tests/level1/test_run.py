"""The level as a command, and its README."""

import re
import sys
from pathlib import Path

import pandas as pd
import pytest

from level1_notebook.demo import score_months
from shared.settings import NEW_YORK, PROJECT
from tests.level1.runs import Chances, Runs
from tests.silence import ALLOWED, listen
from tests.support import lend_flights
from tests.terminal import closing_screen

README = (PROJECT / "level1_notebook" / "README.md").read_text(encoding="utf-8")
ROWS = [line.strip("| ").split(" | ") for line in README.splitlines() if line.startswith("| 2013-")]


@pytest.mark.slow
def test_the_readmes_months_are_those_of_the_data_and_its_scores_those_of_such_a_run(
    known: pd.DataFrame, later: pd.DataFrame, chances: Chances
) -> None:
    months = score_months(later, [chances[0]], known["late"].mean())
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


@pytest.mark.slow
def test_the_command_prints_every_part(runs: Runs, flights: pd.DataFrame) -> None:
    assert runs.said.longest < ALLOWED, runs.said.silences[:3]
    assert closing_screen(runs.said.out, str(runs.state))[-1].startswith("next make level2")
    printed = " ".join(runs.said.out.split())
    after = int((flights["late"].notna() & (flights["predicted_at"] >= pd.Timestamp("2013-04-01", tz=NEW_YORK))).sum())
    assert re.search(
        r"notebook log loss 0\.\d{3} ± 0\.\d{3}, AUC 0\.\d{3} ± 0\.\d{3} \(mean ± SD of 5 runs\) on "
        rf"{after:,} flights of 2013-04 to 2013-12",
        printed,
    )
    for words in ("Which data?", "Manual steps", "The claim does not hold", "up to 0.", "other units: 0 warnings"):
        assert words in printed


@pytest.mark.slow
@pytest.mark.usefixtures("flights")  # they make the cache that is lent
def test_a_day_with_no_flight_after_it_is_refused_in_one_line(tmp_path: Path) -> None:
    lend_flights(tmp_path)
    command = [sys.executable, "-m", "level1_notebook", "--quiet"]
    done = listen(command, TODAY="2014-01-01", MLOPS_STATE=str(tmp_path))
    error = "error: TODAY=2014-01-01: no flight comes after it. Remedy: choose an earlier day."
    assert (done.status, done.out, done.err) == (2, "", error + "\n")
    story = (tmp_path / "level1" / "story.html").read_text(encoding="utf-8")
    assert "1 Data" in story
    assert error in " ".join(story.split())
