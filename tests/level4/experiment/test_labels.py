"""Outcomes as they really come: late, twice, out of order, contradicting; a day closes by watermark."""

from itertools import permutations
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from level4_deployment.experiment.design import Plan
from level4_deployment.experiment.experiment_store import Experiment, days_of
from level4_deployment.experiment.labels import Label, SplitError, close_days, ingest, read_watermark
from level4_deployment.explain import look_up
from level4_deployment.prediction_log import PREDICTIONS, QUARANTINED_LABELS, SHADOW_PREDICTIONS
from tests import factories
from tests.factories import insert, prediction

DAY = pd.Timestamp("2013-04-02", tz="America/New_York")
HOUR = 3600.0
NAME = "2-against-1-no3"  # by which flight b is the challenger's to answer, all others here the champion's


@pytest.fixture
def experiment(log: sa.Engine) -> Experiment:
    """It has begun on the day before, which is not counted."""
    answered(log, "first", -20)
    return factories.experiment(experiment=NAME, number=3, share=0.2, plan=Plan(share=0.2))


def at(hours: float) -> float:
    """Seconds since 1970 of an hour of the day."""
    return DAY.timestamp() + hours * HOUR


def answered(log: sa.Engine, flight: str, hours: float, **other: Any) -> None:
    """Put an answer on the log, and the other model's score of the same flight."""
    row = prediction(flight, request_id=f"r-{flight}-{other.get('asked_at', 0)}", departs_at=at(hours))
    row |= {"experiment": NAME, "propensity": 0.8, "probability": 0.4}
    paired = {"version": 2, "probability": 0.2, "failure": None} | other.pop("paired", {})
    insert(log, PREDICTIONS, row | other)
    insert(log, SHADOW_PREDICTIONS, {"request_id": row["request_id"], **paired})


def test_an_outcome_is_kept_once_whatever_order_it_comes_in(log: sa.Engine) -> None:
    for number, order in enumerate(permutations([("a", 1, 5.0), ("b", 0, 3.0), ("a", 1, 5.0)])):
        sent = [Label(f"{name}{number}", late, known_at) for name, late, known_at in order]
        told = [ingest(log, [label], None) for label in sent]
        assert [sum(getattr(one, name) for one in told) for name in ("new", "repeated", "quarantined")] == [2, 1, 0]
        again = ingest(log, sent, None)
        assert (again.new, again.repeated, again.quarantined) == (0, 3, 0)


@pytest.mark.parametrize("together", [True, False])
def test_what_contradicts_goes_to_quarantine_and_the_flight_is_not_used(
    log: sa.Engine, experiment: Experiment, *, together: bool
) -> None:
    answered(log, "good", 10)
    answered(log, "torn", 11)
    labels = [Label("good", 0, at(12)), Label("torn", 1, at(13)), Label("torn", 0, at(14))]
    parts = [labels] if together else [[label] for label in labels]
    assert sum(ingest(log, part, None).quarantined for part in parts) == 1
    with log.connect() as connection:
        assert [row.late for row in connection.execute(sa.select(QUARANTINED_LABELS))] == [0]
    ingest(log, [], at(48))
    close_days(log, experiment)
    assert list(days_of(log, experiment.experiment)["flights"]) == [1]
    url = log.url.render_as_string(hide_password=False)
    assert [look_up(url, f"r-{flight}-0")["contradicted"] for flight in ("good", "torn")] == [False, True]


def test_a_watermark_never_goes_back(log: sa.Engine) -> None:
    for told in (5.0, 9.0, 7.0):
        ingest(log, [], told)
    assert read_watermark(log) == 9.0


def test_a_day_closes_a_day_after_its_end_and_once(log: sa.Engine, experiment: Experiment) -> None:
    answered(log, "a", 10)
    ingest(log, [Label("a", 1, at(12))], at(47.9))
    assert close_days(log, experiment) == []
    ingest(log, [], at(48))
    assert close_days(log, experiment) == ["2013-04-02"]
    ingest(log, [Label("b", 1, at(12))], at(60))
    assert close_days(log, experiment) == []


def test_a_day_that_was_split_otherwise_is_not_written(log: sa.Engine, experiment: Experiment) -> None:
    answered(log, "a", 10)
    answered(log, "b", 11)
    answered(log, "c", 12, propensity=0.9)
    ingest(log, [], at(48))
    with pytest.raises(SplitError, match="2 of 3 flights were split by another salt, or another share than 20%"):
        close_days(log, experiment)
    assert days_of(log, experiment.experiment).empty


def test_a_closed_day_holds_the_mean_difference_of_the_losses_whoever_answered(
    log: sa.Engine, experiment: Experiment
) -> None:
    answered(log, "a", 10)
    theirs = {"version": 2, "probability": 0.3, "arm": "challenger", "propensity": 0.2}
    answered(log, "b", 10, **theirs, paired={"version": 1, "probability": 0.6})
    answered(log, "c", 11, paired={"probability": None, "failure": "deadline"})
    answered(log, "d", 12)  # cancelled: never an outcome
    answered(log, "a", 10, asked_at=9.0, probability=0.99)  # asked again: the first answer counts
    ingest(log, [Label("a", 1, at(13)), Label("b", 0, at(13)), Label("c", 0, at(13))], at(48))
    close_days(log, experiment)
    (day,) = days_of(log, experiment.experiment).to_dict("records")
    wanted = [-np.log(0.4) + np.log(0.2), -np.log(0.4) + np.log(0.7)]
    assert day["flights"] == 2
    assert day["mean_loss_difference"] == pytest.approx(np.mean(wanted))
    assert (day["champion_arm"], day["challenger_arm"]) == (3, 1)


def test_an_outcome_later_than_its_days_closing_changes_nothing(log: sa.Engine, experiment: Experiment) -> None:
    answered(log, "a", 10)
    answered(log, "c", 10)
    ingest(log, [Label("a", 1, at(13)), Label("c", 1, at(48.5))], at(49))
    close_days(log, experiment)
    assert list(days_of(log, experiment.experiment)["flights"]) == [1]
