"""From a decision to its evidence, and to the actions that followed."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import sqlalchemy as sa

from level4_deployment.control import audit
from level4_deployment.experiment import experiment_store
from level4_deployment.experiment.design import Plan
from level5_monitoring import config
from level5_monitoring.loop import explain, loop_store, policy
from level5_monitoring.loop.alerts import alerts_of
from level5_monitoring.loop.policy import PolicyState
from shared.console import console
from shared.errors import UserError
from shared.settings import Settings
from tests.factories import monitor_result

DAY = "2013-05-06"
PROMOTION, OTHER = (2, 3, "by its verdict"), (7, 8, "of another experiment")


@pytest.fixture
def own_log(level5_settings: Settings) -> Iterator[sa.Engine]:
    with config.open_log(level5_settings) as log:
        yield log


def shown(capsys: pytest.CaptureFixture[str]) -> str:
    explain.show_decision(DAY)
    return " ".join(capsys.readouterr().out.split())


def test_a_retraining_is_followed_to_its_promotion(own_log: sa.Engine, capsys: pytest.CaptureFixture[str]) -> None:
    """Reason, figures, version, experiment, verdict, promotion: and no action on another version."""
    results = [monitor_result("calibration", day=DAY, version=2, rows=12345, value=0.0071, threshold=0.005)]
    decision = policy.decide(DAY, results, PolicyState())
    loop_store.record_decision(own_log, decision, results, alerts_of(decision, PolicyState(), "level5"))
    experiment = experiment_store.new_experiment(own_log, 2, 3, Plan(), "loop")
    experiment_store.save(own_log, replace(experiment, state="promoted", reason="it is better by 0.01 nats"))
    loop_store.close_decision(own_log, DAY, {"version": 3, "experiment": experiment.experiment})
    for move in (PROMOTION, OTHER):
        audit.record(own_log, audit.move("loop", "promote", *move))
    text = shown(capsys)
    facts = ("retrain", "champion (version 2)", "0.0071", "0.005", "12,345", "it is better by 0.01 nats")
    for part in (*facts, "calibration alarm begins", "2 → 3", "by its verdict", "done"):
        assert part in text
    assert OTHER[2] not in text


def test_a_reason_of_many_alarms_is_cut_and_the_evidence_has_each(
    own_log: sa.Engine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    results = [monitor_result("contract", day=DAY, target=f"dest_en_route_delay_{n}h", value=n / 8) for n in range(8)]
    decision = policy.decide(DAY, results, PolicyState())
    loop_store.record_decision(own_log, decision, results, alerts_of(decision, PolicyState(), "level5"))
    monkeypatch.setattr(console, "width", 80)
    text = shown(capsys)
    assert text.count("contract of dest_en_route_delay_0h") == 2, "in the reason, and in the alert"
    assert "contract of dest_en_route_delay_7h" not in text
    for one in ("dest_en_route_delay_7h alarm 0.875", "dest_en_route_delay_0h and 7 more"):
        assert one in text


def test_a_decision_without_an_alarm_has_its_evidence_as_well(
    own_log: sa.Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    """A promotion after an inconclusive experiment: the champion, all monitors, and the experiment it was about."""
    results = [monitor_result("contract", "ok", day=DAY)] * 3
    results += [monitor_result("calibration", "ok", day=DAY, rows=12345, value=0.0031)]
    experiment = experiment_store.new_experiment(own_log, 2, 3, Plan(), "loop")
    experiment_store.save(own_log, replace(experiment, state="inconclusive", reason="not proven: mean gain +0.0012"))
    decision = policy.decide(DAY, results, PolicyState(non_inferior_experiment=experiment.experiment))
    loop_store.record_decision(own_log, decision, results, [])
    loop_store.close_decision(own_log, DAY, {"refused": "it is stopped by now"})
    text = shown(capsys)
    for part in ("promote", "0.0031", "12,345", "contract 3 ", "not proven: mean gain +0.0012", "stopped by now"):
        assert part in text
    assert "No single monitor result" not in text


def test_a_day_without_a_decision_names_the_days_that_have_one(own_log: sa.Engine) -> None:
    with pytest.raises(UserError, match="make level5"):
        explain.show_decision(DAY)
    for day in ("2013-05-06", "2013-05-07"):
        loop_store.record_decision(own_log, policy.decide(day, [], PolicyState()), [], [])
    with pytest.raises(UserError, match="2 are on record, 2013-05-06 to 2013-05-07"):
        explain.show_decision("2013-06-01")
