"""What the page shows is what the tables hold: losses by week, health, drift and the monitors' states."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from level4_deployment.prediction_log import INFERENCE_BATCHES, LABELS, PREDICTIONS, QUARANTINED_LABELS
from level5_monitoring.dashboard.data import Day, platform_health, read_year
from level5_monitoring.live_year.year_record import REQUESTS_FILE, UserRequests, keep_requests
from level5_monitoring.tables import DECISIONS
from tests.factories import insert, label, monitor_result
from tests.level5.three_weeks import DAYS, LATE, PROBABILITIES, day_of_predictions, write_calendar


def total_loss(probabilities: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> float:
    """Log loss of a day's labelled flights, in nats."""
    return float(-np.log(np.where(np.asarray(LATE) == 1, probabilities, 1 - probabilities)).sum())


def test_the_loss_of_a_week_is_the_mean_over_its_labelled_flights(log: sa.Engine, tmp_path: Path) -> None:
    weeks = read_year(log, tmp_path, {}).weeks
    assert [week.monday for week in weeks] == ["2013-04-01", "2013-04-08", "2013-04-15"]
    assert [week.sound_rows for week in weeks] == [49, 42, 49], "without the day on which the contract broke"
    assert weeks[0].loss == {"loop": pytest.approx(total_loss(PROBABILITIES[:7]) / 7)}


def test_only_the_first_prediction_counts_and_no_contradicted_label(log: sa.Engine, tmp_path: Path) -> None:
    again = day_of_predictions("2013-04-02")[0] | {"request_id": "later", "asked_at": 9e9, "probability": 0.999}
    insert(log, PREDICTIONS, again)
    insert(log, QUARANTINED_LABELS, label("2013-04-03-6", late=0))
    week = read_year(log, tmp_path, {}).weeks[0]
    assert week.sound_rows == 48
    assert week.loss["loop"] == pytest.approx((7 * total_loss(PROBABILITIES[:7]) + np.log(PROBABILITIES[6])) / 48)


def test_all_policies_are_compared_on_the_same_flights(log: sa.Engine, tmp_path: Path) -> None:
    write_calendar(tmp_path)
    extra = day_of_predictions("2013-04-02")[0] | {"request_id": "extra", "flight_id": "2013-04-02-extra"}
    insert(log, PREDICTIONS, extra)  # a flight that no calendar policy has predicted
    insert(log, LABELS, label("2013-04-02-extra"))
    year = read_year(log, tmp_path, {})
    assert year.compared
    constant = pytest.approx(total_loss(np.full(7, 0.4)) / 7)
    loop = pytest.approx(total_loss(PROBABILITIES[:7]) / 7)
    assert [week.loss for week in year.weeks] == [{"loop": loop, "weekly": constant, "frozen": constant}] * 3


def test_settled_days_are_read_again_only_once_there_is_something_to_compare_with(
    log: sa.Engine, tmp_path: Path
) -> None:
    settled: dict[str, Day] = {}
    read_year(log, tmp_path, {}, settled)
    assert sorted(settled) == DAYS[:16]  # five days after a day's end, no label of it is missing
    write_calendar(tmp_path)
    compared = read_year(log, tmp_path, {}, settled).weeks
    assert all({*week.loss} == {"loop", "weekly", "frozen"} for week in compared)
    with log.begin() as connection:
        connection.execute(PREDICTIONS.delete().where(PREDICTIONS.c.flight_id < DAYS[16]))
    assert read_year(log, tmp_path, {}, settled).weeks == compared


def test_a_day_is_excluded_also_after_its_week_was_read(log: sa.Engine, tmp_path: Path) -> None:
    settled: dict[str, Day] = {}
    before = read_year(log, tmp_path, {}, settled).weeks[0]
    assert (before.excluded, before.sound_rows, before.sound_loss) == ({}, 49, before.loss)
    alarms = json.dumps([asdict(monitor_result("labels", day="2013-04-03"))])
    with log.begin() as connection:
        connection.execute(DECISIONS.update().where(DECISIONS.c.day == "2013-04-03").values(alarms=alarms))
    year = read_year(log, tmp_path, {}, settled)
    first, second, _ = year.weeks
    assert year.sound_rows == 3 * 49 - 2 * 7
    assert (first.excluded, first.sound_rows) == ({"2013-04-03": "labels"}, 42)
    assert second.excluded == {"2013-04-10": "contract"}
    assert first.loss == before.loss
    inverted = day_of_predictions("2013-04-03")[0]["flight_id"]
    with log.begin() as connection:
        connection.execute(LABELS.update().where(LABELS.c.flight_id == inverted).values(late=1))
    again = read_year(log, tmp_path, {}).weeks[0]
    assert again.loss["loop"] > before.loss["loop"]
    assert again.sound_loss == pytest.approx(before.loss)
    assert again.sound_loss == pytest.approx(year.sound_loss)


def test_failed_requests_are_counted_where_they_were_made(log: sa.Engine, tmp_path: Path) -> None:
    year = read_year(log, tmp_path, {})
    assert (year.answered, year.failed_requests) == (168, None)  # a log whose requests nobody has counted
    keep_requests(tmp_path, UserRequests(21, 2))
    assert read_year(log, tmp_path, {}).failed_requests == 2
    (tmp_path / REQUESTS_FILE).write_text("{")
    year = read_year(log, tmp_path, {})
    assert year.failed_requests is None
    assert "Remedy: remove" in {one.what: one.state for one in year.health}["requests of users"]


def test_challengers_that_are_late_within_the_guardrail_are_healthy(log: sa.Engine, tmp_path: Path) -> None:
    def health(failed: int) -> tuple[str, bool]:
        row = {"version": 2, "experiment": "e", "rows": 5000, "failed": failed, "seconds": 1.0, "slow": 0}
        insert(log, INFERENCE_BATCHES, [row])
        found = {one.what: one for one in read_year(log, tmp_path, {}).health}
        return found["challenger predictions missing or late"][1:]

    assert health(45) == ("45 of 5,000", True)
    assert health(60) == ("105 of 10,000", False)


def test_health_reports_how_far_flights_labels_and_decisions_are(log: sa.Engine, tmp_path: Path) -> None:
    health = {one.what: (one.state, one.ok) for one in read_year(log, tmp_path, {}).health}
    assert health["newest departure"] == ("21 Apr 13:00", True)
    assert health["labels received up to"] == ("22 Apr 00:00", True)
    assert health["days decided"] == ("18", True)
    assert health["alerts not delivered"] == ("1", False)


def test_a_platform_that_has_ended_does_not_answer(tmp_path: Path) -> None:
    assert platform_health(tmp_path) == [("platform", "does not answer", False)]


def test_columns_keep_their_order_however_much_they_drift_and_an_alarm_counts_before_ok(
    log: sa.Engine, tmp_path: Path
) -> None:
    year = read_year(log, tmp_path, {})
    assert list(year.drift) == ["temp", "dewp"], "as in the schema"
    states = year.states["contract"]
    assert len(states) == 18
    assert {day for day, result in states.items() if result.state == "alarm"} == {"2013-04-10"}
