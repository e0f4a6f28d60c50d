"""What the loop sees, as Prometheus figures: read from the tables when they are asked for."""

from collections.abc import Iterable

import numpy as np
import sqlalchemy as sa
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from level4_deployment.experiment.labels import read_watermark
from level4_deployment.prediction_log import INFERENCE_BATCHES, PREDICTIONS
from level5_monitoring import tables
from level5_monitoring.loop import loop_store

DAYS = 7  # closed days that a version's figures are the means of


class _Tables:
    """Read from the log at each collection."""

    def __init__(self, log: sa.Engine) -> None:
        self.log = log

    def collect(self) -> Iterable[Metric]:
        """All families."""
        yield from self._answers()
        yield from self._performance()
        yield from self._monitors()
        yield self._feeds()
        yield self._count("loop_decisions", "Decisions on record", tables.DECISIONS.c.kind)
        yield self._count("loop_alerts", "Alerts on record", tables.ALERTS.c.severity)

    def _performance(self) -> Iterable[Metric]:
        days = loop_store.last_performance(self.log, DAYS)
        over = f"Mean over the last {DAYS} closed days"
        loss = GaugeMetricFamily("model_log_loss", f"{over}, nats", labels=["version"])
        auc = GaugeMetricFamily("model_auc", f"{over}, each day's own", labels=["version"])
        rows = GaugeMetricFamily("model_labelled_flights", "Flights behind both", labels=["version"])
        for version, own in days.groupby("version") if len(days) else []:
            loss.add_metric([str(version)], float(np.average(own["loss"], weights=own["flights"])))
            auc.add_metric([str(version)], float(own["auc"].mean()))
            rows.add_metric([str(version)], float(own["flights"].sum()))
        return loss, auc, rows

    def _answers(self) -> Iterable[Metric]:
        """What each version has done so far, live or on trial."""
        told = {
            "model_predictions": (PREDICTIONS, sa.func.count(), "Flights answered"),
            "model_fallbacks": (PREDICTIONS, sa.func.sum(_is(PREDICTIONS.c.fallback != "")), "Answered by a base rate"),
            "model_seconds": (PREDICTIONS, sa.func.sum(PREDICTIONS.c.seconds), "From request to row, of all flights"),
            "model_scored": (
                INFERENCE_BATCHES,
                sa.func.sum(INFERENCE_BATCHES.c.rows),
                "Flights scored as a challenger",
            ),
            "model_failures": (
                INFERENCE_BATCHES,
                sa.func.sum(INFERENCE_BATCHES.c.failed),
                "Of these, without a score in time",
            ),
        }
        for name, (table, figure, what) in told.items():
            family = CounterMetricFamily(name, what, labels=["version"])
            with self.log.connect() as connection:
                for version, value in connection.execute(sa.select(table.c.version, figure).group_by(table.c.version)):
                    family.add_metric([str(version)], float(value))
            yield family

    def _monitors(self) -> Iterable[Metric]:
        """What each monitor said when it last looked: some do so each day, drift each week."""
        labels = ["monitor", "target"]
        value = GaugeMetricFamily("monitor_value", "What was found, in the unit that the finding names", labels=labels)
        threshold = GaugeMetricFamily("monitor_threshold", "What it is held against", labels=labels)
        alarm = GaugeMetricFamily("monitor_alarm", "1 in alarm, 0 not, NaN where data were insufficient", labels=labels)
        states = {"alarm": 1.0, "ok": 0.0}
        for found in loop_store.newest_monitor_results(self.log):
            name = [found.monitor, found.target]
            alarm.add_metric(name, states.get(found.state, float("nan")))
            for family, figure in ((value, found.value), (threshold, found.threshold)):
                if figure is not None:
                    family.add_metric(name, figure)
        return value, threshold, alarm

    def _feeds(self) -> Metric:
        """Replayed instants, seconds since 1970: what stands still is seen by whoever compares two scrapes."""
        family = GaugeMetricFamily(
            "feed_last_seconds", "Newest departure asked for; outcomes told until", labels=["feed"]
        )
        with self.log.connect() as connection:
            newest = connection.execute(sa.select(sa.func.max(PREDICTIONS.c.departs_at))).scalar()
        for feed, at in (("flights", newest), ("labels", read_watermark(self.log))):
            if at is not None:
                family.add_metric([feed], at)
        return family

    def _count(self, name: str, what: str, column: sa.Column[str]) -> Metric:
        family = CounterMetricFamily(name, what, labels=[column.name])
        with self.log.connect() as connection:
            for value, count in connection.execute(sa.select(column, sa.func.count()).group_by(column)):
                family.add_metric([value], count)
        return family


def _is(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return sa.case((condition, 1), else_=0)


def exposition(log: sa.Engine) -> bytes:
    """The figures in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Tables(log))
    return generate_latest(registry)
