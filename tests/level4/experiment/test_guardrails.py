"""Guardrails: which batches on the log end an experiment, on SQLite and on PostgreSQL."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from numpy.typing import ArrayLike

from level4_deployment.experiment.guardrails import ALPHA, BLOCK, FAILED, guardrail_violation
from level4_deployment.experiment.sequential import guardrail
from level4_deployment.prediction_log import INFERENCE_BATCHES, open_log
from tests.factories import batch, experiment

RUNNING = experiment()
NAME = RUNNING.experiment
GOOD = batch(NAME)


CASES = {
    "nothing yet": ([], ""),
    "all in time": ([GOOD] * 100, ""),
    "it fails": ([GOOD] * 20 + [batch(NAME, failed=20)] * 50, "no score for 1,000 of 1,400"),
    "a part of every batch fails": ([batch(NAME, rows=200, failed=20)] * 150, "no score for 3,000 of 30,000"),
    "a burst of ten late batches": ([GOOD] * 200 + [batch(NAME, failed=20)] * 10, ""),
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


@pytest.mark.parametrize(
    ("failing", "good", "needed"), [(1.0, 0, 41), (1.0, 1_000, 108), (0.1, 0, 104), (0.1, 1_000, 384)]
)
def test_a_challenger_that_fails_is_found_after_so_many_batches(failing: float, good: int, needed: int) -> None:
    """The more batches went well before, the more must fail."""
    shares = np.append(np.zeros(good), np.full(needed, failing))
    assert is_found(shares)
    assert not is_found(shares[:-1])


def is_found(batches: ArrayLike) -> bool:
    """By the share of rows of each batch that failed."""
    shares = np.asarray(batches, dtype=float)
    blocks = np.add.reduceat(shares, np.arange(0, len(shares), BLOCK)) / BLOCK
    return guardrail(blocks[blocks > 0], len(blocks), *FAILED, ALPHA)


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
