"""Guardrails: which batches on the log end an experiment, on SQLite and on PostgreSQL."""

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from level4_deployment.experiment.guardrails import guardrail_violation
from level4_deployment.prediction_log import INFERENCE_BATCHES, open_log
from tests.factories import batch, experiment

RUNNING = experiment()
NAME = RUNNING.experiment
GOOD = batch(NAME)


CASES = {
    "nothing yet": ([], ""),
    "all in time": ([GOOD] * 100, ""),
    "it fails": ([GOOD] * 20 + [batch(NAME, failed=20)] * 10, "no score for 200 of 600"),
    "a part of every batch fails": ([batch(NAME, rows=200, failed=20)] * 100, "no score for 2,000 of 20,000"),
    "one late batch": ([batch(NAME, rows=200)] * 3 + [batch(NAME, rows=200, failed=200)], ""),
    "it is slow": ([batch(NAME, slow=1)] * 100, "took far longer than the champion 100 of 100 times"),
    "it knows less": ([batch(NAME, fell_back=20)] * 100, "only its base rate for 2,000 of 2,000"),
    "another version fails": ([batch(NAME, version=1, failed=20)] * 100, ""),
    "it failed in another experiment": ([batch("2-against-1-no9", failed=20)] * 100, ""),
}


@pytest.mark.parametrize("case", CASES)
def test_a_challenger_that_fails_or_is_slow_more_often_than_is_tolerated_is_found(log: sa.Engine, case: str) -> None:
    batches, why = CASES[case]
    with log.begin() as connection:
        for one in batches:
            connection.execute(INFERENCE_BATCHES.insert(), one)
    found = guardrail_violation(log, RUNNING)
    assert (why in found, bool(found)) == (True, bool(why))


def test_a_look_reads_the_batches_of_the_experiment_alone(tmp_path: Path) -> None:
    """A version may be tried many times, and the guardrails are checked twice a second."""
    asked: list[tuple[str, Any]] = []
    with open_log(f"sqlite:///{tmp_path / 'log.db'}") as log:
        sa.event.listen(log, "before_cursor_execute", lambda *call: asked.append(call[2:4]))
        guardrail_violation(log, RUNNING)
        with log.connect() as connection:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {asked[0][0]}", asked[0][1]).all()
    assert [row[-1] for row in plan] == [
        "SEARCH inference_batches USING INDEX ix_inference_batches_version (version=? AND experiment=?)"
    ]
