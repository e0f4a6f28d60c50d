"""Guardrails: what ends an experiment at once, whatever the day and however good its predictions are."""

import sqlalchemy as sa

from level4_deployment.experiment.experiment_store import Experiment
from level4_deployment.experiment.sequential import guardrail
from level4_deployment.prediction_log import INFERENCE_BATCHES

# Each: the share that is tolerated of a challenger, and the share that would be a disaster worth finding first.
# Rows that share a turn share its fate, so a turn is a trial, and what counts of it is the share of its rows.
FAILED = (0.01, 0.10)  # rows that got no score: an error, or none within the deadline
SLOW = (0.10, 0.50)  # times that it took several times as long as the champion for the same rows
FELL_BACK = (0.01, 0.10)  # rows that it answered by its base rate, where the champion did not
ALPHA = 0.001  # the chance that a challenger within tolerance is ever stopped


def guardrail_violation(log: sa.Engine, experiment: Experiment) -> str:
    """Why the experiment must end now, or nothing. Looked at twice a second: the test is valid at any time."""
    counted = (
        INFERENCE_BATCHES.c.rows,
        INFERENCE_BATCHES.c.failed,
        INFERENCE_BATCHES.c.slow,
        INFERENCE_BATCHES.c.fell_back,
    )
    shares = (
        sa.cast(INFERENCE_BATCHES.c[name], sa.Double) / INFERENCE_BATCHES.c.rows for name in ("failed", "fell_back")
    )
    total = sa.select(sa.func.count(), *(sa.func.coalesce(sa.func.sum(part), 0) for part in (*counted, *shares)))
    mine = INFERENCE_BATCHES.c.experiment == experiment.experiment, INFERENCE_BATCHES.c.version == experiment.challenger
    with log.connect() as connection:
        times, rows, failed, slow, fell_back, turns_failed, turns_fell_back = connection.execute(
            total.where(*mine)
        ).one()
    challenger = f"version {experiment.challenger}"
    if guardrail(min(turns_failed, times), times, *FAILED, ALPHA):
        return f"{challenger} gave no score for {failed:,} of {rows:,} flights; {FAILED[0]:.0%} is tolerated"
    if guardrail(slow, times, *SLOW, ALPHA):
        return f"{challenger} took far longer than the champion {slow:,} of {times:,} times; {SLOW[0]:.0%} is tolerated"
    if guardrail(min(turns_fell_back, times), times, *FELL_BACK, ALPHA):
        known = f"{fell_back:,} of {rows:,} flights that the champion knows"
        return f"{challenger} gave only its base rate for {known}; {FELL_BACK[0]:.0%} is tolerated"
    return ""
