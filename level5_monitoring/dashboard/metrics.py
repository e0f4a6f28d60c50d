"""The loop's tables as Prometheus metrics: read from the log at each scrape."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import sqlalchemy as sa
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily

from level4_deployment.experiment.labels import read_watermark
from level4_deployment.prediction_log import INFERENCE_BATCHES, PREDICTIONS
from level5_monitoring.loop.loop_store import last_performance, newest_monitor_results
from level5_monitoring.tables import ALERTS, DECISIONS

DAYS = 7  # closed days over which a version's performance is averaged
ALARM_VALUES = {"alarm": 1.0, "ok": 0.0, "insufficient data": float("nan")}


def exposition(log: sa.Engine) -> bytes:
    """All metrics in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Tables(log))
    return generate_latest(registry)


class _Tables:
    """A collector that reads the log."""

    def __init__(self, log: sa.Engine) -> None:
        self.log = log

    def collect(self) -> Iterable[Metric]:
        """All metric families."""
        yield from self._predictions()
        yield from self._challengers()
        yield from self._performance()
        yield from self._monitors()
        yield self._watermarks()
        yield self._count("loop_decisions", "Decisions on record", DECISIONS.c.kind)
        yield self._count("loop_alerts", "Alerts on record", ALERTS.c.severity)

    def _predictions(self) -> Iterable[Metric]:
        answered = CounterMetricFamily("model_predictions", "Predictions returned", labels=["version"])
        fallbacks = CounterMetricFamily("model_fallbacks", "Of these, with a code unknown to it", labels=["version"])
        latency = SummaryMetricFamily("model_latency_seconds", "From request to log row", labels=["version"])
        unknown = sa.func.sum(sa.case((PREDICTIONS.c.fallback != "", 1), else_=0))
        seconds = sa.func.sum(PREDICTIONS.c.seconds)
        for version, rows, fell_back, total in self._by(PREDICTIONS.c.version, sa.func.count(), unknown, seconds):
            answered.add_metric([str(version)], rows)
            fallbacks.add_metric([str(version)], fell_back)
            latency.add_metric([str(version)], rows, total)
        return answered, fallbacks, latency

    def _challengers(self) -> Iterable[Metric]:
        scored = CounterMetricFamily("challenger_predictions", "Requested of a challenger", labels=["version"])
        failed = CounterMetricFamily("challenger_failures", "Of these, missing or late", labels=["version"])
        sums = (sa.func.sum(INFERENCE_BATCHES.c[name]) for name in ("rows", "failed"))
        for version, rows, failures in self._by(INFERENCE_BATCHES.c.version, *sums):
            scored.add_metric([str(version)], rows)
            failed.add_metric([str(version)], failures)
        return scored, failed

    def _performance(self) -> Iterable[Metric]:
        days = last_performance(self.log, DAYS)
        over = f"mean over the last {DAYS} closed days"
        loss = GaugeMetricFamily("model_log_loss", f"Nats per flight, {over}", labels=["version"])
        auc = GaugeMetricFamily("model_auc", f"AUC of a day, {over}", labels=["version"])
        flights = GaugeMetricFamily("model_labelled_flights", "Flights behind both", labels=["version"])
        for version, own in days.groupby("version") if len(days) else []:
            loss.add_metric([str(version)], float(np.average(own["loss"], weights=own["flights"])))
            auc.add_metric([str(version)], float(own["auc"].mean()))
            flights.add_metric([str(version)], float(own["flights"].sum()))
        return loss, auc, flights

    def _monitors(self) -> Iterable[Metric]:
        """The newest result of each monitor: of the last day, or of the last week for drift."""
        labels = ["monitor", "target"]
        value = GaugeMetricFamily("monitor_value", "In the unit of the monitor's message", labels=labels)
        threshold = GaugeMetricFamily("monitor_threshold", "What the value is compared with", labels=labels)
        alarm = GaugeMetricFamily("monitor_alarm", "1 alarm, 0 ok, NaN insufficient data", labels=labels)
        for result in newest_monitor_results(self.log):
            name = [result.monitor, result.target]
            alarm.add_metric(name, ALARM_VALUES[result.state])
            for family, figure in ((value, result.value), (threshold, result.threshold)):
                if figure is not None:
                    family.add_metric(name, figure)
        return value, threshold, alarm

    def _watermarks(self) -> Metric:
        """In replayed time: a feed has stopped if two scrapes return the same instant."""
        about = "Newest departure predicted; instant up to which labels are known"
        family = GaugeMetricFamily("feed_last_event_timestamp_seconds", about, labels=["feed"])
        with self.log.connect() as connection:
            newest = connection.execute(sa.select(sa.func.max(PREDICTIONS.c.departs_at))).scalar()
        for feed, at in (("flights", newest), ("labels", read_watermark(self.log))):
            if at is not None:
                family.add_metric([feed], at)
        return family

    def _count(self, name: str, about: str, column: sa.Column[str]) -> Metric:
        family = CounterMetricFamily(name, about, labels=[column.name])
        for value, rows in self._by(column, sa.func.count()):
            family.add_metric([value], rows)
        return family

    def _by(self, column: sa.Column[Any], *figures: sa.ColumnElement[Any]) -> Sequence[sa.Row[Any]]:
        """The figures of each value of the column."""
        with self.log.connect() as connection:
            return connection.execute(sa.select(column, *figures).group_by(column)).all()
