"""Guardrails: what ends an experiment at once, whatever the day and however good its predictions are."""

import sqlalchemy as sa

from level4_deployment.experiments import Experiment
from level4_deployment.log import SCORING
from level4_deployment.sequential import guardrail

# Each: the share that is tolerated of a challenger, and the share that would be a disaster worth finding first.
# Rows that share a turn share its fate, so a turn is a trial, and what counts of it is the share of its rows.
FAILED = (0.01, 0.10)  # rows that got no score: an error, or none within the deadline
SLOW = (0.10, 0.50)  # times that it took several times as long as the champion for the same rows
ALPHA = 0.001  # the chance that a challenger within tolerance is ever stopped


def tripped(log: sa.Engine, experiment: Experiment) -> str:
    """Why the experiment must end now, or nothing. Looked at twice a second: the test is valid at any time."""
    total = sa.select(
        sa.func.coalesce(sa.func.sum(SCORING.c.rows), 0),
        sa.func.coalesce(sa.func.sum(SCORING.c.failed), 0),
        sa.func.coalesce(sa.func.sum(sa.cast(SCORING.c.failed, sa.Double) / SCORING.c.rows), 0),
        sa.func.count(),
        sa.func.coalesce(sa.func.sum(SCORING.c.slow), 0),
    ).where(SCORING.c.experiment == experiment.experiment, SCORING.c.version == experiment.challenger)
    with log.connect() as connection:
        rows, failed, turns_failed, times, slow = connection.execute(total).one()
    challenger = f"version {experiment.challenger}"
    if guardrail(min(turns_failed, times), times, *FAILED, ALPHA):
        return f"{challenger} gave no score for {failed:,} of {rows:,} flights; {FAILED[0]:.0%} is tolerated"
    if guardrail(slow, times, *SLOW, ALPHA):
        return f"{challenger} took far longer than the champion {slow:,} of {times:,} times; {SLOW[0]:.0%} is tolerated"
    return ""
