"""What the loop sees, as Prometheus figures: read from the tables when they are asked for."""

from collections.abc import Iterable

import numpy as np
import sqlalchemy as sa
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from level4_deployment import outcomes
from level4_deployment.log import PREDICTIONS
from level5_monitoring import performance, record

DAYS = 7  # closed days that a version's figures are the means of


class _Tables:
    """Read from the log at each collection."""

    def __init__(self, log: sa.Engine) -> None:
        self.log = log

    def collect(self) -> Iterable[Metric]:
        """All families."""
        yield from self._performance()
        yield self._drift()
        yield self._feeds()
        yield self._count("loop_decisions", "Decisions on record", record.DECISIONS.c.kind)
        yield self._count("loop_alerts", "Alerts on record", record.ALERTS.c.severity)

    def _performance(self) -> Iterable[Metric]:
        days = performance.last_days(self.log, DAYS)
        over = f"Mean over the last {DAYS} closed days"
        loss = GaugeMetricFamily("model_log_loss", f"{over}, nats", labels=["version"])
        auc = GaugeMetricFamily("model_auc", f"{over}, each day's own", labels=["version"])
        rows = GaugeMetricFamily("model_labelled_flights", "Flights behind both", labels=["version"])
        for version, own in days.groupby("version") if len(days) else []:
            loss.add_metric([str(version)], float(np.average(own["loss"], weights=own["flights"])))
            auc.add_metric([str(version)], float(own["auc"].mean()))
            rows.add_metric([str(version)], float(own["flights"].sum()))
        return loss, auc, rows

    def _drift(self) -> Metric:
        family = GaugeMetricFamily("drift_distance", "Of the last closed week, to the reference", labels=["column"])
        table = record.FINDINGS
        weekly = sa.select(table.c.subject, table.c.value).where(table.c.monitor == "drift", table.c.value.is_not(None))
        newest = sa.select(sa.func.max(table.c.day)).where(table.c.monitor == "drift").scalar_subquery()
        with self.log.connect() as connection:
            for column, value in connection.execute(weekly.where(table.c.day == newest)):
                family.add_metric([column], value)
        return family

    def _feeds(self) -> Metric:
        """Replayed instants, seconds since 1970: what stands still is seen by whoever compares two scrapes."""
        family = GaugeMetricFamily(
            "feed_last_seconds", "Newest departure asked for; outcomes told until", labels=["feed"]
        )
        with self.log.connect() as connection:
            newest = connection.execute(sa.select(sa.func.max(PREDICTIONS.c.departs_at))).scalar()
        for feed, at in (("flights", newest), ("outcomes", outcomes.read_watermark(self.log))):
            if at is not None:
                family.add_metric([feed], at)
        return family

    def _count(self, name: str, what: str, column: sa.Column[str]) -> Metric:
        family = CounterMetricFamily(name, what, labels=[column.name])
        with self.log.connect() as connection:
            for value, count in connection.execute(sa.select(column, sa.func.count()).group_by(column)):
                family.add_metric([value], count)
        return family


def exposition(log: sa.Engine) -> bytes:
    """The figures in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Tables(log))
    return generate_latest(registry)
