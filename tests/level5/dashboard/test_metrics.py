"""The Prometheus metrics are the figures of the tables that they are read from."""

from collections.abc import Iterator
from math import isnan
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa
from prometheus_client.parser import text_string_to_metric_families

from level4_deployment.experiment.labels import ingest
from level4_deployment.prediction_log import INFERENCE_BATCHES, PREDICTIONS
from level5_monitoring.dashboard.metrics import exposition
from level5_monitoring.loop.alerts import Alert
from level5_monitoring.loop.loop_store import record_decision, save_performance
from level5_monitoring.loop.policy import Decision
from level5_monitoring.monitors.performance import DayPerformance
from level5_monitoring.tables import open_log
from tests.factories import insert, monitor_result, prediction


@pytest.fixture
def log(tmp_path: Path) -> Iterator[sa.Engine]:
    with open_log(f"sqlite:///{tmp_path / 'log.db'}") as log:
        yield log


def scrape(log: sa.Engine) -> dict[tuple[str, ...], float]:
    """Every sample, by its name and the values of its labels."""
    families = text_string_to_metric_families(exposition(log).decode())
    return {(one.name, *one.labels.values()): one.value for family in families for one in family.samples}


def test_predictions_are_counted_by_version(log: sa.Engine) -> None:
    rows = [prediction(f"flight-{i}", version=1 + i // 2, seconds=0.5 + i, fallback="") for i in range(3)]
    rows[0]["fallback"] = "carrier"
    tried = {"version": 2, "rows": 50, "failed": 3, "seconds": 0.1, "slow": 0}
    insert(log, PREDICTIONS, rows)
    insert(log, INFERENCE_BATCHES, [tried, tried])
    samples = scrape(log)
    expected = {
        "model_predictions_total": [2, 1],
        "model_fallbacks_total": [1, 0],
        "model_latency_seconds_count": [2, 1],
        "model_latency_seconds_sum": [0.5 + 1.5, 2.5],
    }
    assert {name: [samples[name, version] for version in "12"] for name in expected} == expected
    assert (samples["challenger_predictions_total", "2"], samples["challenger_failures_total", "2"]) == (100, 6)


def test_of_each_monitor_the_newest_results_count(log: sa.Engine) -> None:
    """Drift is measured once a week: its result of the day before is still the newest."""
    results = [
        monitor_result("drift", day="2013-04-07", value=0.4, threshold=0.3),
        monitor_result("contract", day="2013-04-07", value=0.9, threshold=0.3),
        monitor_result("contract", "ok", day="2013-04-08", value=0.2, threshold=0.3),
        monitor_result("contract", "insufficient data", day="2013-04-08", target="dewp", value=None, threshold=None),
    ]
    for day in ("2013-04-07", "2013-04-08"):
        record_decision(log, Decision(day, "no_action", ""), [one for one in results if one.day == day], [])
    samples = scrape(log)
    figures = {name: value for name, value in samples.items() if name[0] in ("monitor_value", "monitor_threshold")}
    assert figures == {
        ("monitor_value", "drift", "temp"): 0.4,
        ("monitor_threshold", "drift", "temp"): 0.3,
        ("monitor_value", "contract", "temp"): 0.2,
        ("monitor_threshold", "contract", "temp"): 0.3,
    }
    alarms = {name[1:]: value for name, value in samples.items() if name[0] == "monitor_alarm"}
    assert isnan(alarms.pop(("contract", "dewp")))
    assert alarms == {("drift", "temp"): 1, ("contract", "temp"): 0}


def test_performance_is_averaged_over_the_closed_days_of_a_version(log: sa.Engine) -> None:
    """The loss by flight, so that a day with more flights weighs more; the AUC by day."""
    for day, flights, auc in (("2013-04-06", 100, 0.7), ("2013-04-07", 300, 0.8)):
        performance = DayPerformance(day, 3, flights, 0.2, 0.2, loss=flights / 1000, auc=auc)
        save_performance(log, performance)
    samples = scrape(log)
    assert samples["model_log_loss", "3"] == pytest.approx(0.25)
    assert samples["model_auc", "3"] == pytest.approx(0.75)
    assert samples["model_labelled_flights", "3"] == 400


def test_decisions_and_alerts_are_counted_by_kind(log: sa.Engine) -> None:
    for day, kind in (("2013-04-06", "notify"), ("2013-04-07", "notify"), ("2013-04-08", "retrain")):
        alert = Alert(day, day, "page" if kind == "retrain" else "info", "", "", "decision")
        record_decision(log, Decision(day, kind, ""), [], [alert])  # type: ignore[arg-type]
    samples = scrape(log)
    assert {name: value for name, value in samples.items() if name[0].startswith("loop_")} == {
        ("loop_decisions_total", "notify"): 2,
        ("loop_decisions_total", "retrain"): 1,
        ("loop_alerts_total", "info"): 2,
        ("loop_alerts_total", "page"): 1,
    }


def test_feeds_report_their_last_event_once_there_is_one(log: sa.Engine) -> None:
    assert "feed_last_event_timestamp_seconds" not in {name for name, *_ in scrape(log)}
    departs = pd.Timestamp("2013-04-08 06:00", tz="UTC").timestamp()
    insert(log, PREDICTIONS, [prediction(departs_at=departs)])
    ingest(log, [], departs - 3600)
    samples = scrape(log)
    assert samples["feed_last_event_timestamp_seconds", "flights"] == departs
    assert samples["feed_last_event_timestamp_seconds", "labels"] == departs - 3600
