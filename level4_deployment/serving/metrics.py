"""What operations sees of the data plane: metrics by model version, added up over all workers of the platform."""

import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from level2_devops.service.observability import LATENCY_BUCKETS

if TYPE_CHECKING:
    from level4_deployment.serving.model import Prediction

SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # of all workers; must be set before a process starts
FINE = (0.00002, 0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 1)  # seconds
ROUTES = ("/predict", "/predict/batch", "/live", "/ready", "/metrics")


class Metrics:
    """The metrics of one worker."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter("http_requests", "Requests answered", ["route", "status"], registry=registry)
        self.seconds = Histogram(
            "http_request_seconds",
            "Seconds from request to reply",
            ["route"],
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        self.predictions = Counter("predictions", "Flights answered", ["version"], registry=registry)
        self.fallbacks = Counter("fallbacks", "Flights answered by the base rate", ["version"], registry=registry)
        self.failures = Counter("failures", "Flights without a score", ["version", "why"], registry=registry)
        self.scoring = Histogram(
            "scoring_seconds", "Processor seconds of a run", ["version"], buckets=FINE, registry=registry
        )
        self.log_seconds = Histogram("log_seconds", "Seconds of a commit", buckets=FINE, registry=registry)
        self.log_failures = Counter("log_failures", "Requests refused because the log failed", registry=registry)
        self.generation = self._gauge("routes_generation", "Of the routes that this worker follows")
        self.routes_read = self._gauge("routes_read_timestamp_seconds", "When the routes were last looked at")
        self.refused = self._gauge("routes_refused", "1 while the routes name what cannot be loaded")

    def _gauge(self, name: str, about: str) -> Gauge:
        """One for each worker, as long as it lives."""
        return Gauge(name, about, registry=self.registry, multiprocess_mode="liveall")

    def text(self) -> bytes:
        """What Prometheus reads: of all workers when they share a folder, else of this process."""
        if SHARED_FOLDER not in os.environ:
            return generate_latest(self.registry)
        everybody = CollectorRegistry()
        MultiProcessCollector(everybody)
        return generate_latest(everybody)

    def scored(self, version: int, found: "list[Prediction | str]", seconds: float) -> None:
        """Count one run of a version."""
        self.scoring.labels(version).observe(seconds)
        for answer in found:
            if isinstance(answer, str):
                self.failures.labels(version, answer.partition(":")[0]).inc()
            elif answer.unknown:
                self.fallbacks.labels(version).inc()

    @staticmethod
    def leave() -> None:
        """Take this process's gauges away; what it counted stays."""
        if SHARED_FOLDER in os.environ:
            mark_process_dead(os.getpid())


def forget(folder: Path, pid: int) -> None:
    """Take the gauges away of a worker that was killed; what it counted stays."""
    mark_process_dead(pid, str(folder))


class RequestMetricsMiddleware:
    """ASGI middleware around everything: counts and times a request, and sends its x-request-id back.

    It writes no line for a request: the prediction log has one already, and says more.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics
        self.seconds = {route: metrics.seconds.labels(route) for route in (*ROUTES, "none")}
        self.requests: dict[tuple[str, int], Counter] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun = time.perf_counter()
        route = scope["path"] if scope["path"] in self.seconds else "none"
        scope["x_request_id"] = identity = _identity(scope)
        more = [(b"x-request-id", identity.encode())]
        if scope["app"].state.draining:
            more.append((b"connection", b"close"))
        status = 500

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"].extend(more)
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        finally:
            self._count(route, status, time.perf_counter() - begun)

    def _count(self, route: str, status: int, seconds: float) -> None:
        if (route, status) not in self.requests:  # finding a child by its labels takes longer than counting
            self.requests[route, status] = self.metrics.requests.labels(route, str(status))
        self.requests[route, status].inc()
        self.seconds[route].observe(seconds)


def _identity(scope: Scope) -> str:
    """The caller's x-request-id if it is a proper one, else a new one."""
    given = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"x-request-id"), "")
    return given if re.fullmatch(r"[\w.-]{1,64}", given, re.ASCII) else os.urandom(16).hex()
