"""Guardrails: which batches on the log end an experiment, on SQLite and on PostgreSQL."""

import pytest
import sqlalchemy as sa

from level4_deployment.experiment.guardrails import guardrail_violation
from level4_deployment.prediction_log import INFERENCE_BATCHES
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
