"""What operations sees: Prometheus metrics, JSON logs, and a request id that ties a reply to its log line."""

import json
import logging
import re
import sys
import time
from contextvars import ContextVar
from datetime import UTC, datetime
from uuid import uuid4

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LATENCY_BUCKETS = (
    0.001,
    0.002,
    0.003,
    0.005,
    0.0075,
    0.01,
    0.015,
    0.02,
    0.03,
    0.05,
    0.075,
    0.1,
    0.2,
    0.5,
    1,
    2,
    5,
)  # seconds
request_id: ContextVar[str] = ContextVar("request_id", default="")
log = logging.getLogger("service")


class Metrics:
    """The service's metrics, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("http_requests", "Requests answered", ["route", "status"], registry=self.registry)
        self.seconds = Histogram(
            "http_request_seconds",
            "Seconds from request to reply",
            ["route"],
            buckets=LATENCY_BUCKETS,
            registry=self.registry,
        )
        self.in_flight = Gauge("http_requests_in_flight", "Requests being answered", registry=self.registry)
        self.predictions = Counter("predictions", "Flights predicted", registry=self.registry)
        self.fallbacks = Counter("fallbacks", "Flights answered by the base rate", ["unknown"], registry=self.registry)
        self.release = Gauge("release", "1 for what runs", ["version", "model_sha256"], registry=self.registry)


class RequestLogMiddleware:
    """ASGI middleware around everything: gives a request its id, counts it, times it, logs it."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; also one that fails by an error of ours: 500, under its id."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        identity = given if re.fullmatch(r"[\w.-]{1,64}", given, re.ASCII) else uuid4().hex
        request_id.set(identity)
        status, begun_to_reply = 500, False
        begun = time.perf_counter()

        async def send_with_id(message: Message) -> None:
            nonlocal status, begun_to_reply
            if message["type"] == "http.response.start":
                status, begun_to_reply = message["status"], True
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = identity
                if scope["app"].state.draining:
                    headers["connection"] = "close"
            await send(message)

        with self.metrics.in_flight.track_inprogress():
            try:
                await self.app(scope, receive, send_with_id)
            except Exception:
                log.exception("a request failed")
                if begun_to_reply:
                    raise
                failure = JSONResponse({"detail": "an error of ours; our log has it"}, 500, {"connection": "close"})
                await failure(scope, receive, send_with_id)
            finally:
                seconds = time.perf_counter() - begun
                route = _route(scope)
                self.metrics.requests.labels(route, str(status)).inc()
                self.metrics.seconds.labels(route).observe(seconds)
                log.info(
                    "request",
                    extra={"route": route, "method": scope["method"], "status": status, "ms": round(seconds * 1000, 2)},
                )


def _route(scope: Scope) -> str:
    """The path if it is one of ours, also when the request was refused on its way; strangers share one label."""
    known = any(getattr(route, "path", None) == scope["path"] for route in scope["app"].routes)
    return scope["path"] if known else "none"


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    FIELDS = ("route", "method", "status", "ms", "version", "reason")

    def format(self, record: logging.LogRecord) -> str:
        """The record's time (UTC), level, message, request id and our own fields."""
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "event": record.getMessage(),
        }
        if request_id.get():
            line["request_id"] = request_id.get()
        line |= {name: getattr(record, name) for name in self.FIELDS if hasattr(record, name)}
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line)


def log_as_json() -> None:
    """Send every log of this process to stderr as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
