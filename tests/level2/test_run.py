"""The level as a command: what it prints is true, and what it leaves behind is right."""

import json
import re
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from level2_devops.model import load, predict
from level2_devops.release.service_status import read_service_status
from level2_devops.release.store import Store
from shared.artefacts import MODEL_CARD, MODEL_FILE
from shared.data.split import history
from shared.score import by_month, score
from shared.settings import PROJECT, Settings, read_settings
from tests.foreign import contents, foreign_settings
from tests.silence import ALLOWED, Said, listen
from tests.support import lend_flights
from tests.terminal import closing_screen

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("flights")]  # the fixture makes the cache that is copied


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder with the data's cache of the project, and nothing else."""
    folder = tmp_path_factory.mktemp("state")
    lend_flights(folder)
    return folder


def run_level(state: Path, today: str, **more: str) -> Said:
    ours = {"MLOPS_STATE": str(state), "TODAY": today, "COLUMNS": "200"}
    return listen([sys.executable, "-m", "level2_devops"], **more, **ours)


@pytest.fixture(scope="module")
def printed(state: Path) -> str:
    """The output of the command among settings of other projects, its tables on lines of 200 characters."""
    foreign = foreign_settings(state.with_name("foreign"))
    untouched = contents(state.with_name("foreign"))
    done = run_level(state, "2013-04-01", **foreign)
    assert (done.status, done.err) == (0, ""), done.out[-2000:] + done.err[-2000:]
    assert done.longest < ALLOWED, done.silences[:3]
    assert closing_screen(done.out, str(state))[-1].startswith("next make level3")
    assert contents(state.with_name("foreign")) == untouched
    return done.out


@pytest.fixture(scope="module")
def store(printed: str, state: Path) -> Store:
    return Store(replace(read_settings(), today=date(2013, 4, 1), state=state).level("level2"))


@pytest.fixture(scope="module")
def probability(store: Store, later: pd.DataFrame) -> NDArray[np.float64]:
    """Probabilities of the saved model for the flights that came after."""
    return predict(load(store.home / "model")[0], later)


def test_the_printed_scores_are_those_of_the_saved_model_and_good_enough(
    printed: str, store: Store, later: pd.DataFrame, probability: NDArray[np.float64]
) -> None:
    overall, months = score(later["late"], probability), by_month(later, probability)
    assert overall.log_loss <= 0.47
    assert overall.auc >= 0.76
    assert json.loads((store.home / "summary.json").read_text())["score"] == overall.as_dict()
    assert f"log loss {overall.log_loss:.3f}, AUC {overall.auc:.2f} on {overall.rows:,} flights" in printed
    for month, row in months.iterrows():
        cells = [str(month), f"{row.rows:,.0f}", f"{row.late:.1%}", f"{row.log_loss:.2f}", f"{row.auc:.2f}"]
        assert re.search(r"\s+".join(map(re.escape, cells)), printed), cells


def test_the_readme_shows_the_scores_of_such_a_run(later: pd.DataFrame, probability: NDArray[np.float64]) -> None:
    readme = (PROJECT / "level2_devops" / "README.md").read_text(encoding="utf-8")
    rows = [line.strip("| ").split(" | ") for line in readme.splitlines() if line.startswith(("| 2013-", "| all"))]
    months = by_month(later, probability)
    all_of_them = pd.DataFrame([score(later["late"], probability).as_dict()], index=["all"])
    assert [row[0] for row in rows] == [*months.index, "all"]
    for (_, flights, late, log_loss, auc), (_, month) in zip(
        rows, pd.concat([months, all_of_them]).iterrows(), strict=True
    ):
        assert (flights, late) == (f"{month['rows']:,.0f}", f"{month['late']:.1%}")
        assert float(log_loss) == pytest.approx(month["log_loss"], abs=0.006)  # another platform's arithmetic
        assert float(auc) == pytest.approx(month["auc"], abs=0.006)


def test_another_today_trains_on_the_labels_known_then(flights: pd.DataFrame, state: Path, tmp_path: Path) -> None:
    lend_flights(tmp_path)
    done = listen([sys.executable, "-m", "level2_devops", "train"], MLOPS_STATE=str(tmp_path), TODAY="2013-07-01")
    assert (done.status, done.err) == (0, "")
    _, card = load(tmp_path / "level2" / "model")
    july = replace(read_settings(), today=date(2013, 7, 1))
    assert (card.trained_as_of, card.rows) == ("2013-07-01", len(history(flights, july.now)))


def test_no_request_failed_while_a_release_and_its_rollback_went_live(printed: str, store: Store) -> None:
    found = re.search(r"0 of ([\d,]+) requests failed \(([\d,]+) by 1\.0\.0, ([\d,]+) by 1\.0\.1; the slowest", printed)
    assert found, printed
    asked, by_first, by_second = (int(number.replace(",", "")) for number in found.groups())
    assert asked == by_first + by_second
    assert by_first > 0
    assert by_second > 0
    events = [(event["what"], event["version"]) for event in store.history()]
    assert [event for event in events if event[0] in {"released", "rolled back", "refused"}] == [
        ("released", "1.0.0"),
        ("released", "1.0.1"),
        ("rolled back", "1.0.0"),
    ]
    current = store.current()
    assert current
    assert current.version == "1.0.0"


def test_the_service_looks_equally_healthy_in_a_month_that_is_predicted_worse(
    printed: str, later: pd.DataFrame, probability: NDArray[np.float64]
) -> None:
    months = by_month(later, probability)["log_loss"]
    assert months["2013-12"] > months["2013-04"] + 0.02
    for month in ("2013-04", "2013-12"):
        row = re.search(rf"^{month}\s+(.* ms .*)$", printed, re.MULTILINE)
        assert row, month
        asked, rate, p50, p99, errors, loss = row[1].replace(" ms", "").split()
        assert int(asked.replace(",", "")) > 0
        assert float(rate) > 0
        assert 0 < float(p50) <= float(p99)
        assert (errors, loss) == ("0", f"{months[month]:.2f}")


def test_it_leaves_a_picture_two_models_that_differ_without_a_trace_and_no_service(
    store: Store,
) -> None:
    first, second = (store.app(version) / "model" for version in ("1.0.0", "1.0.1"))
    assert (first / MODEL_FILE).read_bytes() != (second / MODEL_FILE).read_bytes()
    assert (first / MODEL_CARD).read_text() == (second / MODEL_CARD).read_text()
    assert (store.home / "swap.png").read_bytes().startswith(b"\x89PNG")
    assert read_service_status(store) is None
    assert not list(store.home.glob("building-*"))


def test_a_day_without_later_flights_is_refused_before_any_work(settings: Settings, state: Path) -> None:
    lend_flights(settings.state)
    done = run_level(settings.state, "2014-01-01")
    assert done.status == 2
    assert done.err == "error: TODAY=2014-01-01: no flight comes after it. Remedy: choose an earlier day.\n"
    assert Store(settings.level("level2")).history() == []
