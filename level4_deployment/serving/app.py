"""The prediction service of the platform: level 2's requests and refusals, answered many times as fast.

Its routes are plain Starlette. FastAPI would take a third of a request's time: it would validate again what `requests`
has validated. `description.py` has the schema for /docs.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from fastapi.exceptions import RequestValidationError
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from level2_devops.service.limits import protect
from level2_devops.service.observability import RequestMetricsMiddleware
from level2_devops.service.pages import pages
from level2_devops.service.strict_json import reply_invalid
from level4_deployment.serving.batching import MicroBatcher, NotReadyError, ScoringError
from level4_deployment.serving.description import PAGES, TITLE, describe, example
from level4_deployment.serving.log_writer import LogWriter
from level4_deployment.serving.metrics import Metrics
from level4_deployment.serving.reloader import ModelReloader, workers
from level4_deployment.serving.requests import PendingPrediction, read_batch, read_one

MOST_IN_FLIGHT = 128  # requests are short: that many are answered within 50 ms
JSON = [(b"content-type", b"application/json")]


class PredictRoute:
    """A route that reads flights from a body, and replies once their predictions are in the log."""

    def __init__(
        self, read: Callable[[bytes], list[PendingPrediction]], reply: Callable[[list[PendingPrediction]], Any]
    ) -> None:
        self.read, self.reply = read, reply

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whose whole body LimitsMiddleware has read."""
        flights = self.read((await receive())["body"])
        await scope["app"].state.batcher.predict(flights)
        body = json.dumps(self.reply(flights)).encode()
        headers = [*JSON, (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def create_app(home: Path, log: sa.Engine) -> Starlette:
    """The service of the platform in the folder `home`; it follows the routes there, and is live without any."""
    metrics = Metrics()
    app = Starlette(
        routes=[
            Route("/predict", PredictRoute(read_one, lambda flights: flights[0].as_reply()), methods=["POST"]),
            Route("/predict/batch", PredictRoute(read_batch, _batch_reply), methods=["POST"]),
            Route("/live", _live),
            Route("/ready", _ready),
            Route("/metrics", _metrics),
            Route("/openapi.json", _openapi),
            *pages(TITLE, PAGES, example),
        ],
        exception_handlers={
            ValidationError: reply_invalid,
            RequestValidationError: reply_invalid,
            HTTPException: _refused,
            NotReadyError: _not_ready,
            ScoringError: _failed,
        },
        lifespan=_lifespan,
    )
    protect(app, MOST_IN_FLIGHT)
    app.add_middleware(RequestMetricsMiddleware, metrics=metrics)
    app.state.draining, app.state.metrics, app.state.log = False, metrics, log
    app.state.reloader = ModelReloader(home, metrics)
    return app


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    """Load the routed models and follow the routes; at the end, write what is still queued for the log."""
    state, loop = app.state, asyncio.get_running_loop()
    reloader: ModelReloader = state.reloader
    writer = LogWriter(state.log, loop, state.metrics.commit_seconds.observe)
    state.batcher = MicroBatcher(reloader.serving, writer, state.metrics)
    await reloader.poll()
    polling = loop.create_task(reloader.poll_forever())
    try:
        yield
    finally:
        polling.cancel()
        await asyncio.to_thread(writer.close)
        reloader.remove_status()
        state.metrics.remove_gauges()


def _batch_reply(flights: list[PendingPrediction]) -> dict[str, Any]:
    return {"predictions": [flight.as_reply() for flight in flights]}


async def _live(_request: Request) -> Response:
    return JSONResponse({"status": "live"})


async def _ready(request: Request) -> Response:
    state = request.app.state
    if state.draining:
        raise NotReadyError("draining: this process is about to stop")
    state.reloader.serving()
    status = {"status": "ready", **state.reloader.status(), "workers": workers(state.reloader.home)}
    return JSONResponse(status)


async def _metrics(request: Request) -> Response:
    return Response(request.app.state.metrics.text(), media_type=CONTENT_TYPE_LATEST)


async def _openapi(_request: Request) -> Response:
    return JSONResponse(describe())


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it
    return JSONResponse({"detail": error.detail}, error.status_code, error.headers)


async def _not_ready(_request: Request, error: Exception) -> Response:
    return JSONResponse({"detail": str(error)}, 503, {"retry-after": "1"})


async def _failed(_request: Request, error: Exception) -> Response:
    return JSONResponse({"detail": str(error)}, 500)
