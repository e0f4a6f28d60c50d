"""A log that loses rows of one arm: from how many flights on it is found out, on real flights and a real log."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from level4_deployment.experiment import assignment
from level4_deployment.experiment.design import MISMATCH, Plan, Verdict, judge
from level4_deployment.experiment.experiment_store import days_of
from level4_deployment.experiment.labels import close_days, ingest
from level4_deployment.experiment.sequential import flights_to_detect_loss, sample_ratio
from level4_deployment.prediction_log import LABELS, PREDICTIONS, SHADOW_PREDICTIONS, open_log, url_of
from tests.factories import both_predictions, experiment, label

START = pd.Timestamp("2013-04-01", tz="America/New_York")


def verdict_of(folder: Path, flights: pd.DataFrame, plan: Plan, lost: float) -> Verdict:
    """Log real flights, each in its arm, lose a part of the challenger's rows, close the days, and judge."""
    running = experiment(plan=plan, share=plan.share)
    random = np.random.default_rng(7)
    departs = flights["scheduled_departure"]
    some = flights[departs.between(START, START + pd.DateOffset(days=plan.max_days + 1), inclusive="left")]
    rows, shadow, labels = [], [], []
    for name, at, late in zip(some["flight_id"], some["scheduled_departure"], some["late"], strict=True):
        arm, seconds = assignment.arm(running.salt, plan.share, name), at.timestamp()
        chances = {version: 0.2 + 0.1 * random.random() for version in (1, 2)}
        row, other = both_predictions(running, name, arm, seconds, chances)
        rows.append(row)
        shadow.append(other)
        if late == late:  # noqa: PLR0124 - NaN: it never landed
            labels.append(label(name, late=int(late), known_at=seconds))
    with open_log(url_of(folder)) as log:
        with log.begin() as connection:
            for table, new in ((PREDICTIONS, rows), (SHADOW_PREDICTIONS, shadow), (LABELS, labels)):
                connection.execute(table.insert(), new)
            theirs = [{"gone": row["request_id"]} for row in rows if row["arm"] == "challenger"]
            gone = random.choice(np.array(theirs), int(lost * len(theirs)), replace=False).tolist()
            if gone:
                connection.execute(PREDICTIONS.delete().where(PREDICTIONS.c.request_id == sa.bindparam("gone")), gone)
        ingest(log, [], (START + pd.DateOffset(days=plan.max_days + 3)).timestamp())
        close_days(log, running)
        days = days_of(log, running.experiment)
    return judge(plan, days)


@pytest.mark.slow
def test_a_twentieth_of_one_arms_rows_lost_blocks_the_verdict_at_an_even_split(
    tmp_path: Path, flights: pd.DataFrame
) -> None:
    plan = Plan(share=0.5, max_days=56)
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    whole.mkdir()
    torn.mkdir()
    assert verdict_of(whole, flights, plan, lost=0.0).kind != "blocked"
    blocked = verdict_of(torn, flights, plan, lost=0.05)
    assert blocked.kind == "blocked"
    assert "sample-ratio mismatch" in blocked.reason(plan)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5])
def test_a_loss_is_found_out_as_often_as_is_said(share: float) -> None:
    flights = flights_to_detect_loss(0.05, share, MISMATCH)
    random = np.random.default_rng(3)
    challenger = random.binomial(flights, share, 2_000)
    kept = random.binomial(challenger, 0.95)
    seen = sample_ratio(flights - challenger, kept, share) < MISMATCH
    assert np.mean(seen) == pytest.approx(0.95, abs=0.02)


def test_at_a_tenth_of_the_flights_four_weeks_show_that_an_eighth_of_the_arm_is_lost_but_not_a_twentieth() -> None:
    needed = [flights_to_detect_loss(lost, 0.1, MISMATCH) for lost in (0.125, 0.05)]
    assert needed[0] < 28 * 900 < needed[1]
