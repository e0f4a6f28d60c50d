"""Prometheus metrics, JSON logs, and a request id that connects a reply to its log line."""

import logging
import re
import sys
import time
from contextvars import ContextVar
from secrets import token_hex

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Seconds.
LATENCY_BUCKETS = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1, 2, 5)
request_id: ContextVar[str] = ContextVar("request_id", default="")
log = logging.getLogger("service")


class RequestMetrics:
    """Requests counted and timed by route, in a registry of the service's own."""

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


class Metrics(RequestMetrics):
    """The metrics of level 2's service."""

    def __init__(self) -> None:
        super().__init__()
        self.predictions = Counter("predictions", "Flights predicted", registry=self.registry)
        self.fallbacks = Counter("fallbacks", "Flights answered by the base rate", ["unknown"], registry=self.registry)
        self.release = Gauge(
            "release", "1 for the running release", ["version", "model_sha256"], registry=self.registry
        )


class RequestMetricsMiddleware:
    """The outermost ASGI middleware: gives each request an id, counts it, times it, and never lets it end unanswered.

    While the service drains, each reply also closes its connection. log_requests: write a line for each request.
    """

    def __init__(self, app: ASGIApp, metrics: RequestMetrics, *, log_requests: bool = False) -> None:
        self.app, self.metrics, self.log_requests = app, metrics, log_requests
        self.paths: frozenset[str] = frozenset()
        # Children by their labels: finding one in the library takes longer than counting.
        self.requests: dict[tuple[str, int], Counter] = {}
        self.seconds: dict[str, Histogram] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; an unexpected exception becomes a 500 and a line in the log, both with the id."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        identity = _identity(scope)
        request_id.set(identity)
        status, replying = 500, False
        begun = time.perf_counter()

        async def send_with_id(message: Message) -> None:
            nonlocal status, replying
            if message["type"] == "http.response.start":
                status, replying = message["status"], True
                message["headers"].append((b"x-request-id", identity.encode()))
                if scope["app"].state.draining and (b"connection", b"close") not in message["headers"]:
                    message["headers"].append((b"connection", b"close"))
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        except Exception:
            log.exception("a request failed")
            if replying:
                raise
            failure = JSONResponse({"detail": "internal error; see the service's log"}, 500, {"connection": "close"})
            await failure(scope, receive, send_with_id)
        finally:
            self._observe(scope, self._route(scope), status, time.perf_counter() - begun)

    def _observe(self, scope: Scope, route: str, status: int, seconds: float) -> None:
        if (route, status) not in self.requests:
            self.requests[route, status] = self.metrics.requests.labels(route, str(status))
            self.seconds[route] = self.metrics.seconds.labels(route)
        self.requests[route, status].inc()
        self.seconds[route].observe(seconds)
        if self.log_requests:
            figures = {"route": route, "method": scope["method"], "status": status, "ms": round(seconds * 1000, 2)}
            log.info("request", extra=figures)

    def _route(self, scope: Scope) -> str:
        """The path if the service has it; all other paths share one label, so that callers cannot create labels."""
        if not self.paths:
            self.paths = frozenset(getattr(route, "path", "") for route in scope["app"].routes)
        return scope["path"] if scope["path"] in self.paths else "none"


def _identity(scope: Scope) -> str:
    """The caller's x-request-id if it is well formed, else a new one."""
    given = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"x-request-id"), "")
    return given if re.fullmatch(r"[\w.-]{1,64}", given, re.ASCII) else token_hex(16)


def log_as_json() -> None:
    """Send every log record of this process to stderr as one JSON line, under the id of the request it belongs to."""

    def add_request_id(record: logging.LogRecord) -> bool:
        if identity := request_id.get():
            record.__dict__["request_id"] = identity
        return True

    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(add_request_id)
    names = {"levelname": "level", "message": "event", "exc_info": "error"}
    reserved = [*RESERVED_ATTRS, "color_message"]  # uvicorn's, the message once more, for terminals
    form = "%(levelname)s%(message)s"
    handler.setFormatter(JsonFormatter(form, rename_fields=names, timestamp="at", reserved_attrs=reserved))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
