"""Trainings, promotions, alerts and faults become events of the night in which they happened, with their evidence."""

import re
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
from tests.level5.three_weeks import CLOCK, DAYS, try_version


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
    loop_store.record_decision(log, Decision(DAYS[18], "retrain", "it is off", (), "performance"), [], [])
    loop_store.close_decision(log, DAYS[18], {"failed": "the disk is full"})
    [training, failed] = events(log, tmp_path, "training")
    assert (training.day, training.title) == ("2013-04-14", "Retraining: planned growth of the data")
    assert re.fullmatch(r"No alarm led to this: .* the days with labels have grown .* new labels", training.text)
    assert (training.facts, training.state, training.decision) == ({"version": "2"}, "", "2013-04-12")
    assert (failed.title, failed.text) == ("Retraining: performance of the champion", "it is off")
    assert failed.state == "bad"


def test_an_experiment_stands_where_its_result_was_known_and_explains_itself(log: sa.Engine, tmp_path: Path) -> None:
    """It spans its closed days."""
    found = Verdict("inconclusive", 2, 1400, 0.001, 0.8, 1.8, least=-0.002, non_inferior=True)
    for challenger, state in ((2, "inconclusive"), (3, "rejected"), (4, "running")):
        experiment = try_version(log, challenger, state, (CLOCK - 50, CLOCK + 100 * 3 + 50))
        insert(log, EXPERIMENT_DAYS, [experiment_day(experiment, day, flights=700) for day in DAYS[:2]])
    [one] = experiment_store.find(log, "inconclusive")
    experiment_store.save(log, replace(one, verdict=found, reason=found.reason(Plan())))
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


def test_an_experiment_without_a_closed_day_spans_the_days_on_which_it_ran(log: sa.Engine, tmp_path: Path) -> None:
    """In the night to the eleventh day it begins, and is stopped two nights later, or within one night, or runs."""
    for challenger, state, ended in ((2, "stopped", 11.5), (3, "stopped", 9.6), (4, "running", 0)):
        try_version(log, challenger, state, (CLOCK + 100 * 9.5, CLOCK + 100 * ended))
    assert [(one.title, one.day, one.first, one.last) for one in events(log, tmp_path, "experiment")] == [
        ("Version 3 against 1: stopped", DAYS[10], DAYS[10], DAYS[10]),
        ("Version 4 against 1: running", DAYS[10], DAYS[10], DAYS[20]),
        ("Version 2 against 1: stopped", DAYS[12], DAYS[10], DAYS[11]),
    ]


def test_the_note_of_an_experiment_that_has_ended_names_both_versions(log: sa.Engine, tmp_path: Path) -> None:
    experiment = try_version(log, 2, "stopped", (CLOCK + 50, CLOCK + 150))
    ended = Alert(f"ended-{experiment}", DAYS[18], "info", "experiment stopped", "why", "experiment_ended", experiment)
    loop_store.record_decision(log, Decision(DAYS[18], "no_action", "all is well"), [], [ended])
    [note] = events(log, tmp_path, "note")
    assert (note.title, note.text, note.versions) == ("Experiment stopped: version 2 against 1", "why", ("2", "1"))


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
