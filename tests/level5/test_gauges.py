"""The figures for Prometheus are those of the tables they are read from."""

from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from level4_deployment.prediction_log import INFERENCE_BATCHES, PREDICTIONS
from level5_monitoring.dashboard.metrics import exposition
from level5_monitoring.loop.loop_store import record_decision
from level5_monitoring.loop.policy import Decision
from level5_monitoring.monitors.monitor_result import MonitorResult
from level5_monitoring.tables import open_log
from tests.level5.test_page import answer


def test_versions_and_monitors_are_told_apart(tmp_path: Path) -> None:
    """Live counts by version; of each monitor the last day it looked at, drift's a week ago among them."""
    log = open_log(f"sqlite:///{tmp_path / 'log.db'}")
    answers = [answer("2013-04-07", number, 0.0) | {"version": 1 + number // 2} for number in range(3)]
    answers[0]["fallback"] = "carrier"
    tried = {"version": 2, "rows": 50, "failed": 3, "seconds": 0.1, "slow": 0}
    with log.begin() as connection:
        connection.execute(PREDICTIONS.insert(), answers)
        connection.execute(INFERENCE_BATCHES.insert(), [tried, tried])
    seen = [
        MonitorResult("2013-04-07", "drift", "temp", "alarm", "far", 8, 0.4, 0.3),
        MonitorResult("2013-04-07", "contract", "temp", "alarm", "much is missing", 8, 0.9, 0.3),
        MonitorResult("2013-04-08", "contract", "temp", "ok", "little is missing", 8, 0.2, 0.3),
        MonitorResult("2013-04-08", "contract", "dewp", "insufficient data", "few values", 8),
    ]
    for day in ("2013-04-07", "2013-04-08"):
        record_decision(log, Decision(day, "no_action", ""), [found for found in seen if found.day == day], [])
    text = exposition(log).decode()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    told = {(one.name, *one.labels.values()): one.value for one in samples}
    assert {name: told["model_predictions_total", name] for name in ("1", "2")} == {"1": 2, "2": 1}
    assert {name: told["model_fallbacks_total", name] for name in ("1", "2")} == {"1": 1, "2": 0}
    assert (told["model_scored_total", "2"], told["model_failures_total", "2"]) == (100, 6)
    assert told["monitor_value", "drift", "temp"] == 0.4
    assert told["monitor_value", "contract", "temp"] == 0.2
    alarms = {name[1:]: value for name, value in told.items() if name[0] == "monitor_alarm"}
    assert alarms.pop(("contract", "dewp")) != 0, "nobody knows"
    assert alarms == {("drift", "temp"): 1, ("contract", "temp"): 0}
