"""From a decision to its evidence, and to what followed."""

from dataclasses import replace
from pathlib import Path

import pytest

from level4_deployment.experiment import experiment_store
from level4_deployment.experiment.design import Plan
from level4_deployment.prediction_log import open_log, url_of
from level5_monitoring import config
from level5_monitoring.loop import explain, loop_store, policy
from level5_monitoring.loop.alerts import alerts_of
from level5_monitoring.loop.policy import PolicyState
from level5_monitoring.monitors.monitor_result import MonitorResult
from shared.errors import UserError
from shared.settings import read_settings

DAY = "2013-05-06"


def test_a_retraining_is_followed_to_its_promotion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Reason, figures, version, experiment, verdict, promotion: and no act on another version."""
    for name, value in {"MLOPS_STATE": str(tmp_path), "MLOPS_WITHIN": "level5", "PREDICTION_LOG": ""}.items():
        monkeypatch.setenv(name, value)
    log = open_log(url_of(config.platform(read_settings())))
    found = [
        MonitorResult(DAY, "performance", "version 2", "alarm", "it loses more than it promises", 12345, 0.0071, 0.005)
    ]
    decision = policy.decide(DAY, found, PolicyState())
    loop_store.record_decision(log, decision, found, alerts_of(decision, PolicyState(), "level5"))
    experiment = experiment_store.new_experiment(log, 2, 3, Plan(), "loop")
    experiment_store.save(log, replace(experiment, state="promoted", reason="it is better by 0.01 nats"))
    loop_store.close_decision(log, DAY, {"version": 3, "experiment": experiment.experiment})
    for change, why in ((("2", "3"), "by its verdict"), (("7", "8"), "of another story")):
        experiment_store.end_act(log, experiment_store.begin_act(log, "loop", "promote", change, why))
    monkeypatch.setattr("sys.argv", ["explain", DAY])
    explain.main()
    said = " ".join(capsys.readouterr().out.split())
    for part in (
        "retrain",
        "0.0071",
        "0.005",
        "12,345",
        "it is better by 0.01 nats",
        "2 → 3",
        "by its verdict",
        "done",
    ):
        assert part in said
    assert "of another story" not in said


def test_what_no_alarm_has_led_to_has_its_evidence_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A promotion of a tie: how the champion stands, all that was looked at, and the experiment it was about."""
    for name, value in {"MLOPS_STATE": str(tmp_path), "MLOPS_WITHIN": "level5", "PREDICTION_LOG": ""}.items():
        monkeypatch.setenv(name, value)
    log = open_log(url_of(config.platform(read_settings())))
    found = [MonitorResult(DAY, "contract", "temp", "ok", "as normal", 900, 0.01, 0.25)] * 3
    found += [MonitorResult(DAY, "performance", "version 2", "ok", "it keeps its promise", 12345, 0.0031, 0.005)]
    experiment = experiment_store.new_experiment(log, 2, 3, Plan(), "loop")
    experiment_store.save(log, replace(experiment, state="inconclusive", reason="not proven: mean gain +0.0012"))
    decision = policy.decide(DAY, found, PolicyState(tied=experiment.experiment))
    loop_store.record_decision(log, decision, found, [])
    loop_store.close_decision(log, DAY, {"refused": "somebody was faster"})
    monkeypatch.setattr("sys.argv", ["explain", DAY])
    explain.main()
    said = " ".join(capsys.readouterr().out.split())
    for part in (
        "promote",
        "0.0031",
        "12,345",
        "contract │ 3 │",
        "not proven: mean gain +0.0012",
        "somebody was faster",
    ):
        assert part in said
    assert "No single finding" not in said


def test_a_day_without_a_decision_says_which_there_are(tmp_path: Path) -> None:
    """And that there are none, where there are none."""
    log = open_log(f"sqlite:///{tmp_path / 'log.db'}")
    with pytest.raises(UserError, match="make level5"):
        explain.explain(log, DAY)
    for day in ("2013-05-06", "2013-05-07"):
        loop_store.record_decision(log, policy.decide(day, [], PolicyState()), [], [])
    with pytest.raises(UserError, match="2 are on record, 2013-05-06 to 2013-05-07"):
        explain.explain(log, "2013-06-01")
