"""The Prometheus metrics of the data plane, by model version, summed over all workers of the platform."""

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from level2_devops.service.observability import RequestMetrics
from level4_deployment.serving.worker import SHARED_FOLDER

if TYPE_CHECKING:
    from level4_deployment.serving.model import Prediction

log = logging.getLogger("service")
FINE = (0.00002, 0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 1)  # seconds


class Metrics(RequestMetrics):
    """The metrics of one worker."""

    def __init__(self) -> None:
        super().__init__()
        registry = self.registry
        self.predictions = Counter("predictions", "Flights answered", ["version"], registry=registry)
        self.fallbacks = Counter("fallbacks", "Flights answered by the base rate", ["version"], registry=registry)
        self.scoring_failures = Counter(
            "scoring_failures", "Flights without a score", ["version", "why"], registry=registry
        )
        self.scoring_seconds = Histogram(
            "scoring_seconds", "Processor seconds of a batch", ["version"], buckets=FINE, registry=registry
        )
        self.commit_seconds = Histogram(
            "prediction_log_commit_seconds", "Seconds of a commit", buckets=FINE, registry=registry
        )
        self.write_failures = Counter(
            "prediction_log_write_failures", "Requests refused because the log failed", registry=registry
        )
        self.generation = self._gauge("routes_generation", "Generation of the routes that this worker serves")
        self.routes_read = self._gauge("routes_read_timestamp_seconds", "When the routes were last read")
        self.refused = self._gauge("routes_refused", "1 while the routes name a version that cannot be loaded")

    def _gauge(self, name: str, about: str) -> Gauge:
        """One for each worker, as long as it lives."""
        return Gauge(name, about, registry=self.registry, multiprocess_mode="liveall")

    def text(self) -> bytes:
        """The text for Prometheus: of all workers when they share a folder, otherwise of this process."""
        if SHARED_FOLDER not in os.environ:
            return generate_latest(self.registry)
        all_workers = CollectorRegistry()
        MultiProcessCollector(all_workers)
        try:
            return generate_latest(all_workers)
        except Exception:  # noqa: BLE001 - a garbled file makes the library raise whatever its bytes lead to
            self._remove_garbled()
            return generate_latest(all_workers)

    @staticmethod
    def _remove_garbled() -> None:
        """Remove the shared files that cannot be read, each with a line in the log; the others are still counted."""
        for file in Path(os.environ[SHARED_FOLDER]).glob("*.db"):
            try:
                MultiProcessCollector.merge([str(file)])
            except FileNotFoundError:
                continue
            except Exception as error:  # noqa: BLE001 - as above
                log.warning("a metrics file is garbled and removed", extra={"file": str(file), "reason": repr(error)})
                file.unlink(missing_ok=True)

    def scored(self, version: int, found: "list[Prediction | str]", seconds: float) -> None:
        """Count one batch of a version."""
        self.scoring_seconds.labels(version).observe(seconds)
        for answer in found:
            if isinstance(answer, str):
                self.scoring_failures.labels(version, answer.partition(":")[0]).inc()
            elif answer.unknown:
                self.fallbacks.labels(version).inc()

    @staticmethod
    def remove_gauges() -> None:
        """Remove this process's gauges; its counters remain."""
        if SHARED_FOLDER in os.environ:
            mark_process_dead(os.getpid())
