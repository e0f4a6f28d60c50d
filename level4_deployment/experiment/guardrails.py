"""Guardrails: a challenger that fails or is slow stops its experiment at once, however good its predictions are."""

import sqlalchemy as sa

from level4_deployment.experiment.experiment_store import Experiment
from level4_deployment.experiment.sequential import guardrail
from level4_deployment.prediction_log import INFERENCE_BATCHES

# Each: the share that is tolerated, and a share so bad that it should be found soon.
FAILED = (0.01, 0.50)  # rows without a score: an error, or no answer before the deadline
SLOW = (0.10, 0.90)  # batches that took several times as long as the champion needed for the same rows
FELL_BACK = (0.01, 0.50)  # rows that the challenger answered by its base rate and the champion by its model
ALPHA = 0.001  # the probability that a challenger within tolerance is ever stopped
# Rows of a batch fail together, and so do batches in a row: a pause of the machine is one event. So a block of
# consecutive batches is one trial. Each of its batches counts by the share of its rows; one that is still to come, 0.
BLOCK = 20


def guardrail_violation(log: sa.Engine, experiment: Experiment) -> str:
    """Why the experiment must stop now, or "". The test is valid at any time: it is made twice a second."""
    batch = INFERENCE_BATCHES.c
    own = batch.experiment == experiment.experiment, batch.version == experiment.challenger
    sums = [sa.func.sum(one) for one in (batch.rows, batch.failed, batch.slow, batch.fell_back)]
    totals = sa.select(sa.func.count(), sa.func.min(batch.number), sa.func.max(batch.number), *sums).where(*own)
    rows_as_real = sa.cast(batch.rows, sa.Double)
    shares = [batch.failed / rows_as_real, batch.slow, batch.fell_back / rows_as_real]
    blocks = sa.select(*(sa.func.sum(one) / float(BLOCK) for one in shares)).group_by(batch.number // BLOCK)
    with_events = blocks.where(*own, batch.failed + batch.slow + batch.fell_back > 0)
    with log.connect() as connection:
        times, first, last, rows, failed, slow, fell_back = connection.execute(totals).one()
        found = connection.execute(with_events).all()
    if not times:
        return ""
    trials = last // BLOCK - first // BLOCK + 1
    known = f"{fell_back:,} of {rows:,} flights that the champion knows"
    checks = [
        (FAILED, f"gave no score for {failed:,} of {rows:,} flights"),
        (SLOW, f"took far longer than the champion {slow:,} of {times:,} times"),
        (FELL_BACK, f"gave only its base rate for {known}"),
    ]
    for which, (limits, what) in enumerate(checks):
        if guardrail([min(one[which], 1.0) for one in found if one[which] > 0], trials, *limits, ALPHA):
            return f"version {experiment.challenger} {what}; {limits[0]:.0%} is tolerated"
    return ""
