"""The prediction log: which databases are opened, which are refused, and each flight's first prediction."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from threading import Barrier

import pandas as pd
import psutil
import pytest
import sqlalchemy as sa

from level4_deployment.prediction_log import (
    LABELS,
    PREDICTIONS,
    QUARANTINED_LABELS,
    SHADOW_PREDICTIONS,
    LogError,
    first_predictions,
    open_log,
    prepare_tables,
    url_of,
)
from tests.factories import insert, label, prediction

TABLES = {
    "predictions",
    "shadow_predictions",
    "inference_batches",
    "labels",
    "quarantined_labels",
    "watermarks",
    "experiments",
    "experiment_days",
    "audit",
}


def test_all_tables_of_the_level_are_made_whatever_was_imported_before(tmp_path: Path) -> None:
    code = "import sys; from level4_deployment.prediction_log import open_log; open_log(sys.argv[1]).__enter__()"
    subprocess.run([sys.executable, "-c", code, url_of(tmp_path)], check=True)
    engine = sa.create_engine(url_of(tmp_path))
    assert set(sa.inspect(engine).get_table_names()) == TABLES
    engine.dispose()


# Changes that make a log of this version one of an earlier version, and what is missing then.
EARLIER = {
    "a column of another name": (
        "ALTER TABLE predictions RENAME COLUMN request_payload TO features",
        r"predictions\.request_payload",
    ),
    "tables of other names": ("ALTER TABLE inference_batches RENAME TO scoring", r"inference_batches\.number"),
}


@pytest.mark.parametrize("earlier", EARLIER)
def test_a_log_of_an_earlier_version_is_refused_with_the_remedy_and_left_as_it_is(url: str, earlier: str) -> None:
    statement, missing = EARLIER[earlier]
    with open_log(url) as engine:
        with engine.begin() as connection:
            connection.execute(sa.text(statement))
        before = set(sa.inspect(engine).get_table_names())
        why = rf"earlier version .* no column {missing}\. Remedy: make clean, or an empty database"
        with pytest.raises(LogError, match=why), open_log(url):
            pass
        assert set(sa.inspect(engine).get_table_names()) == before


@pytest.mark.parametrize("earlier", [False, True])
def test_a_log_is_closed_after_use_and_after_it_was_refused(tmp_path: Path, earlier: bool) -> None:
    with open_log(url_of(tmp_path)) as log, log.begin() as connection:
        connection.execute(sa.text("ALTER TABLE labels RENAME TO outcomes" if earlier else "SELECT 1"))
        assert [file for file in psutil.Process().open_files() if str(tmp_path) in file.path]
    with pytest.raises(LogError) if earlier else nullcontext(), open_log(url_of(tmp_path)):
        pass
    assert not [file for file in psutil.Process().open_files() if str(tmp_path) in file.path]


def test_tables_of_a_later_level_are_prepared_and_refused_by_themselves(log: sa.Engine) -> None:
    later = sa.MetaData()
    sa.Table("decisions", later, sa.Column("day", sa.Text, primary_key=True))
    for _ in range(2):
        prepare_tables(log, later)
    sa.Table("alerts", later, sa.Column("key", sa.Text, primary_key=True))
    with pytest.raises(LogError, match=r"no column alerts\.key"):
        prepare_tables(log, later)
    assert TABLES | {"decisions"} == set(sa.inspect(log).get_table_names())


def test_of_several_that_open_a_new_log_at_once_the_first_makes_the_tables(url: str) -> None:
    together = Barrier(4)

    def open_it(_: int) -> None:
        together.wait()
        with open_log(url):
            pass

    with ThreadPoolExecutor(4) as four:
        assert [*four.map(open_it, range(4))] == [None] * 4


def test_the_first_prediction_of_each_flight_comes_with_its_label_if_it_has_one_that_counts(log: sa.Engine) -> None:
    rows = [
        prediction("a", request_id="again", asked_at=9.0, probability=0.9),
        prediction("a", request_id="first", asked_at=3.0, probability=0.1),
        prediction("torn", asked_at=2.0),
        prediction("unknown", asked_at=1.0),
        prediction("later", asked_at=4.0),
    ]
    labels = [label("a", late=1, known_at=5.0), label("torn", known_at=5.0), label("later", known_at=8.0)]
    insert(log, PREDICTIONS, rows)
    insert(log, LABELS, labels)
    insert(log, QUARANTINED_LABELS, label("torn", late=1, known_at=6.0))
    insert(log, SHADOW_PREDICTIONS, {"request_id": "first", "version": 2, "probability": 0.2, "failure": None})
    wanted = [PREDICTIONS.c.flight_id, PREDICTIONS.c.probability]
    found = first_predictions(log, wanted, shadow=True).set_index("flight_id")
    assert [*found.index] == ["unknown", "torn", "a", "later"], "in order of asked_at"
    assert [*found.columns] == ["probability", "late", "known_at", "other_probability"]
    assert found.to_dict("index")["a"] == {"probability": 0.1, "late": 1.0, "known_at": 5.0, "other_probability": 0.2}
    assert found["late"].isna().tolist() == [True, True, False, False]
    in_time = first_predictions(log, wanted, where=[PREDICTIONS.c.asked_at > 2.5], known_by=7.0).set_index("flight_id")
    assert in_time["late"].to_dict() == {"a": 1.0, "later": pytest.approx(float("nan"), nan_ok=True)}


def test_without_predictions_there_are_the_columns_and_no_row(log: sa.Engine) -> None:
    found = first_predictions(log, [PREDICTIONS.c.flight_id], shadow=True)
    assert (len(found), [*found.columns]) == (0, ["flight_id", "late", "known_at", "other_probability"])
    assert pd.api.types.is_float_dtype(found["late"])
