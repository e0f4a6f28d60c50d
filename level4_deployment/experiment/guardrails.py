"""Guardrails: a challenger that fails or is slow stops its experiment at once, however good its predictions are."""

import sqlalchemy as sa

from level4_deployment.experiment.experiment_store import Experiment
from level4_deployment.experiment.sequential import guardrail
from level4_deployment.prediction_log import INFERENCE_BATCHES

# Each: the share that is tolerated, and a share so bad that it should be found soon. The rows of one batch tend to
# fail together, so a batch is one trial, and it counts by the share of its rows.
FAILED = (0.01, 0.10)  # rows without a score: an error, or no answer before the deadline
SLOW = (0.10, 0.50)  # batches that took several times as long as the champion needed for the same rows
FELL_BACK = (0.01, 0.10)  # rows that the challenger answered by its base rate and the champion by its model
ALPHA = 0.001  # the probability that a challenger within tolerance is ever stopped


def guardrail_violation(log: sa.Engine, experiment: Experiment) -> str:
    """Why the experiment must stop now, or "". The test is valid at any time: it is made twice a second."""
    batch = INFERENCE_BATCHES.c
    counted = [batch.rows, batch.failed, batch.slow, batch.fell_back]
    shares = [sa.cast(part, sa.Double) / batch.rows for part in (batch.failed, batch.fell_back)]
    sums = [sa.func.coalesce(sa.func.sum(part), 0) for part in (*counted, *shares)]
    own = batch.experiment == experiment.experiment, batch.version == experiment.challenger
    with log.connect() as connection:
        found = connection.execute(sa.select(sa.func.count(), *sums).where(*own)).one()
    times, rows, failed, slow, fell_back, failed_batches, fell_back_batches = found
    known = f"{fell_back:,} of {rows:,} flights that the champion knows"
    checks = [
        (failed_batches, FAILED, f"gave no score for {failed:,} of {rows:,} flights"),
        (slow, SLOW, f"took far longer than the champion {slow:,} of {times:,} times"),
        (fell_back_batches, FELL_BACK, f"gave only its base rate for {known}"),
    ]
    for events, limits, what in checks:
        if guardrail(min(events, times), times, *limits, ALPHA):
            return f"version {experiment.challenger} {what}; {limits[0]:.0%} is tolerated"
    return ""
