"""Trainings, promotions, alerts and faults become events of the night in which they happened, with their evidence."""

from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from level4_deployment.control import audit
from level4_deployment.experiment import experiment_store
from level4_deployment.experiment.design import Plan, Verdict
from level4_deployment.prediction_log import AUDIT, EXPERIMENT_DAYS
from level5_monitoring.dashboard.data import read_year
from level5_monitoring.dashboard.events import Event
from level5_monitoring.live_year.year_record import InjectedFault, write_faults
from level5_monitoring.loop import loop_store
from level5_monitoring.loop.alerts import Alert
from level5_monitoring.loop.policy import Decision
from tests.factories import experiment_day, insert, monitor_result
from tests.level5.three_weeks import CLOCK, DAYS


def events(log: sa.Engine, home: Path, kind: str) -> list[Event]:
    return [one for one in read_year(log, home, {}).events if one.kind == kind]


def move(log: sa.Engine, action: str, before: int | None, after: int, at: float) -> None:
    """An action on the champion that was done when the machine's clock was `at`."""
    number = audit.begin(log, audit.move("loop", action, before, after, "better"))
    audit.close(log, number)
    with log.begin() as connection:
        connection.execute(AUDIT.update().where(AUDIT.c.number == number).values(at=at))


def test_a_promotion_belongs_to_the_night_after_the_predicted_day(log: sa.Engine, tmp_path: Path) -> None:
    move(log, "promote", None, 1, CLOCK - 50)
    move(log, "promote", 1, 2, CLOCK + 100 * 13 + 50)
    move(log, "roll_back", 2, 1, CLOCK + 100 * 14)
    assert [(one.day, one.title, one.state) for one in events(log, tmp_path, "promotion")] == [
        ("2013-04-01", "Version 1 promoted", "good"),
        ("2013-04-15", "Version 2 promoted", "good"),
        ("2013-04-16", "Version 1 restored", "bad"),
    ]


def test_a_retraining_has_its_reason_and_what_came_of_it(log: sa.Engine, tmp_path: Path) -> None:
    [training] = events(log, tmp_path, "training")
    assert (training.day, training.title, training.text) == ("2013-04-14", "Retraining: growth", "new labels")
    assert (training.facts, training.state, training.decision) == ({"version": "2"}, "", "2013-04-12")


def test_a_retraining_that_failed_is_bad(log: sa.Engine, tmp_path: Path) -> None:
    loop_store.record_decision(log, Decision(DAYS[18], "retrain", "new labels", (), "growth"), [], [])
    loop_store.close_decision(log, DAYS[18], {"failed": "the disk is full"})
    assert [one.state for one in events(log, tmp_path, "training")] == ["", "bad"]


def test_an_experiment_stands_where_its_result_was_known_and_explains_itself(log: sa.Engine, tmp_path: Path) -> None:
    """It spans its closed days; one without a closed day has no place on the time line."""
    found = Verdict("inconclusive", 2, 1400, 0.001, 0.8, 1.8, least=-0.002, non_inferior=True)
    reason = found.reason(Plan())
    for challenger, state in ((2, "inconclusive"), (3, "rejected"), (4, "running"), (5, "running")):
        one = experiment_store.new_experiment(log, 1, challenger, Plan(), "loop")
        one = replace(one, state=state, reason=reason if challenger == 2 else "because")
        experiment_store.save(log, replace(one, verdict=found) if challenger == 2 else one)
        for day in DAYS[:2] if challenger < 5 else []:
            insert(log, EXPERIMENT_DAYS, experiment_day(one.experiment, day, flights=700))
        if state != "running":
            ends = audit.Action("platform", "end_experiment", reason, challenger, one.experiment, "running", state)
            audit.record(log, ends)
            with log.begin() as connection:
                connection.execute(AUDIT.update().where(AUDIT.c.version == challenger).values(at=CLOCK + 100 * 3 + 50))
    move(log, "promote", 1, 2, CLOCK + 100 * 3 + 60)
    with log.begin() as connection:
        because = "decision of 2013-04-02: its challenger is non-inferior, and it knows newer flights."
        connection.execute(AUDIT.update().where(AUDIT.c.action == "promote").values(reason=because))
    shown = events(log, tmp_path, "experiment")
    assert [(one.title, one.state, one.day, one.first, one.last) for one in shown] == [
        ("Version 4 against 1: running", "", DAYS[0], *DAYS[:2]),
        ("Version 2 against 1: not worse", "", DAYS[4], *DAYS[:2]),
        ("Version 3 against 1: rejected", "bad", DAYS[4], *DAYS[:2]),
    ]
    assert shown[1].facts["labelled flights with both predictions"] == "1,400"
    assert shown[1].text.endswith("The loop promotes such a version, because it knows newer flights.")
    [promoted] = events(log, tmp_path, "promotion")
    assert (promoted.title, promoted.day) == ("Version 2 promoted: not worse, and newer", DAYS[4])


def test_an_alert_leads_to_its_evidence(log: sa.Engine, tmp_path: Path) -> None:
    [alert] = events(log, tmp_path, "alert")
    assert (alert.day, alert.title, alert.state) == ("2013-04-12", "Contract alarm begins", "bad")
    assert [(one.target, one.value, one.threshold) for one in alert.evidence] == [("temp", 0.5, 0.1)]


def test_an_alarm_that_begins_has_its_own_results_whatever_was_decided(log: sa.Engine, tmp_path: Path) -> None:
    """Drift begins on a day that a broken contract stops; another column has drifted since the day before."""
    before, day = DAYS[18:20]
    old = monitor_result("drift", day=before, target="temp")
    new = monitor_result("drift", day=day, target="humid")
    broken = monitor_result("contract", day=day, target="visib")
    loop_store.record_decision(log, Decision(before, "notify", "it drifts", (old,), "drift", (old,)), [], [])
    alerts = [
        Alert(f"{day}-{name}", day, "page", f"{name} is off", "off", "alarm_begins", name)
        for name in ("contract", "drift")
    ]
    alerts.append(Alert(f"{day}-b", day, "page", "roll back", "off", "decision"))
    decision = Decision(day, "stop_experiment", "broken", (broken,), "contract", (broken, new, old))
    loop_store.record_decision(log, decision, [broken, new], alerts)
    found = [one for one in events(log, tmp_path, "alert") if one.decision == day]
    assert {one.title: [result.target for result in one.evidence] for one in found} == {
        "Contract is off": ["visib"],
        "Drift is off": ["humid"],
        "Roll back": ["visib"],
    }
    assert [one.facts["decision of the day"] for one in found] == ["stop experiment"] * 3


@pytest.mark.parametrize(
    ("until", "text", "last"), [("2013-04-05", "removed on 2013-04-05", 4), ("", "still active", 20)]
)
def test_an_injected_fault_lasts_until_it_is_removed(
    log: sa.Engine, tmp_path: Path, until: str, text: str, last: int
) -> None:
    write_faults(tmp_path, [InjectedFault("celsius", 3, "temperatures in °C", "everywhere", "2013-04-03", until)])
    [fault] = events(log, tmp_path, "fault")
    assert (fault.title, fault.day) == ("Fault injected: temperatures in °C", "2013-04-03")
    assert (fault.first, fault.last) == ("2013-04-03", DAYS[last])
    assert fault.text == f"everywhere; {text}"
