"""The data plane's service: level 2's requests and refusals, answered by several versions, at many times its speed.

These are plain Starlette routes. FastAPI would take a third of such a request's time: to check once more what `asked`
has checked, and to write its schema out. That schema is level 2's, on its /docs; `flight_id` comes on top.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from fastapi.exceptions import RequestValidationError
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from level2_devops.service.limits import LimitsMiddleware
from level4_deployment.serving.batching import MicroBatcher, NotReadyError, ScoringError
from level4_deployment.serving.log_writer import LogWriter
from level4_deployment.serving.metrics import Metrics, RequestMetricsMiddleware
from level4_deployment.serving.reloader import ModelReloader, workers
from level4_deployment.serving.requests import PendingPrediction, describe_validation_error, read_batch, read_one

MOST_IN_FLIGHT = 128  # they are short: a full house is answered within 50 ms
JSON = [(b"content-type", b"application/json")]


@dataclass
class ServiceInfo:
    """What a starting server says of this service."""

    version: str
    reason: str = ""


class PredictRoute:
    """A route that reads flights from a body, and replies once their answers are on record."""

    def __init__(
        self, read: Callable[[bytes], list[PendingPrediction]], reply: Callable[[list[PendingPrediction]], Any]
    ) -> None:
        self.read, self.reply = read, reply

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whose body `Limits` has read whole."""
        flights = self.read((await receive())["body"])
        await scope["app"].state.turns.ask(flights)
        body = json.dumps(self.reply(flights)).encode()
        headers = [*JSON, (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def create_app(home: Path, log: sa.Engine) -> Starlette:
    """The service of the platform in the folder `home`; it follows the routes there, and lives without any."""
    metrics = Metrics()
    app = Starlette(
        routes=[
            Route("/predict", PredictRoute(read_one, lambda flights: flights[0].as_reply()), methods=["POST"]),
            Route("/predict/batch", PredictRoute(read_batch, _batch), methods=["POST"]),
            Route("/live", _live),
            Route("/ready", _ready),
            Route("/metrics", _metrics),
        ],
        middleware=[
            Middleware(RequestMetricsMiddleware, metrics=metrics),
            Middleware(LimitsMiddleware, most_in_flight=MOST_IN_FLIGHT),
        ],
        exception_handlers={
            ValidationError: _invalid,
            RequestValidationError: _invalid,
            HTTPException: _refused,
            NotReadyError: _not_ready,
            ScoringError: _failed,
        },
        lifespan=_lifespan,
    )
    app.state.draining, app.state.metrics, app.state.log = False, metrics, log
    app.state.follower = ModelReloader(home, metrics)
    app.state.service = ServiceInfo("platform")
    return app


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    """Load what is routed, then follow; at the end write what waits."""
    state, loop = app.state, asyncio.get_running_loop()
    follower: ModelReloader = state.follower
    writer = LogWriter(state.log, loop, state.metrics.log_seconds.observe)
    state.turns = MicroBatcher(follower.serving, writer, state.metrics)
    await follower.look()
    following = loop.create_task(follower.follow())
    try:
        yield
    finally:
        following.cancel()
        await asyncio.to_thread(writer.close)
        follower.leave()
        state.metrics.leave()


def _batch(flights: list[PendingPrediction]) -> dict[str, Any]:
    return {"predictions": [flight.as_reply() for flight in flights]}


async def _live(_request: Request) -> Response:
    return JSONResponse({"status": "live"})


async def _ready(request: Request) -> Response:
    state = request.app.state
    if state.draining:
        raise NotReadyError("draining: this process is about to end")
    state.follower.serving()
    return JSONResponse(
        {"status": "ready", **state.follower.status(), "workers": workers(state.follower.home)},
    )


async def _metrics(request: Request) -> Response:
    return Response(request.app.state.metrics.text(), media_type=CONTENT_TYPE_LATEST)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, ValidationError | RequestValidationError)  # noqa: S101 - what it is registered for
    return JSONResponse({"detail": describe_validation_error(error), "request_id": request.scope["x_request_id"]}, 422)


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    return JSONResponse({"detail": error.detail}, error.status_code, error.headers)


async def _not_ready(_request: Request, error: Exception) -> Response:
    return JSONResponse({"detail": str(error)}, 503, {"retry-after": "1"})


async def _failed(_request: Request, error: Exception) -> Response:
    return JSONResponse({"detail": str(error)}, 500)
