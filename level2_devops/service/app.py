"""The prediction service: one release with one model, and no global state."""

import asyncio
import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, Field
from sklearn.pipeline import Pipeline

from level2_devops.model import ModelCard, ModelError, known_categories, load, predict
from level2_devops.service.limits import protect
from level2_devops.service.observability import Metrics, RequestLogMiddleware, request_id
from level2_devops.service.requests import Batch, Flight, as_table
from level2_devops.service.strict_json import use_strict_json
from shared.artefacts import MODEL_FILE


class Prediction(BaseModel):
    """The answer for one flight."""

    probability: float = Field(ge=0, le=1, description="of arriving 15 or more minutes late")
    fallback: bool = Field(description="true when the base rate answered: the model has never seen one of its codes")
    unknown: list[str] = Field(description="the fields whose codes the model has never seen")


class Answer(Prediction):
    """The answer to `/predict`."""

    version: str
    request_id: str


class Answers(BaseModel):
    """The answer to `/predict/batch`, in the order of the flights."""

    predictions: list[Prediction]
    version: str
    request_id: str


class Problem(BaseModel):
    """One thing wrong with a request."""

    field: str = Field(description="for example flights.3.temp, or body for the whole")
    problem: str
    value: str | None = Field(description="the given value, shortened")


class Problems(BaseModel):
    """Every problem of a flight; for a batch, those of its first invalid flight."""

    detail: list[Problem]
    request_id: str


class Refusal(BaseModel):
    """The reason why a request is not answered."""

    detail: str


@dataclass
class State:
    """The loaded model, or the reason why there is none."""

    version: str
    metrics: Metrics
    model: Pipeline | None = None
    card: ModelCard | None = None
    reason: str = ""


REFUSALS: dict[int | str, dict[str, Any]] = {
    422: {"model": Problems},
    **{status: {"model": Refusal} for status in (400, 408, 413, 503)},
}


def _start(model_folder: Path, version: str) -> State:
    state, digest = State(version, Metrics()), ""
    try:
        state.model, state.card = load(model_folder)
        digest = hashlib.sha256((model_folder / MODEL_FILE).read_bytes()).hexdigest()
    except ModelError as error:
        state.reason = str(error)
    state.metrics.release.labels(version, digest).set(1)
    return state


def create_app(model_folder: Path, version: str) -> FastAPI:
    """The service with the model in `model_folder`; when that cannot be read, it is live but not ready."""
    state = _start(model_folder, version)
    app = FastAPI(title="Will this flight arrive late?", version=version)
    use_strict_json(app)
    app.state.draining, app.state.reason = False, state.reason
    protect(app)
    app.add_middleware(RequestLogMiddleware, metrics=state.metrics)

    # One thread: more would share one processor, and leave the event loop no time to answer or refuse the others.
    thread = ThreadPoolExecutor(1)

    async def predictions(flights: list[Any]) -> list[Prediction]:
        return await asyncio.get_running_loop().run_in_executor(thread, _predict, state, flights)

    @app.post("/predict", responses=REFUSALS)
    async def predict_one(flight: Flight) -> Answer:
        """Predict one flight."""
        (prediction,) = await predictions([flight])
        return Answer(**prediction.model_dump(), version=version, request_id=request_id.get())

    @app.post("/predict/batch", responses=REFUSALS)
    async def predict_batch(batch: Batch) -> Answers:
        """Predict up to 1,000 flights."""
        found = await predictions(batch.flights)
        return Answers(predictions=found, version=version, request_id=request_id.get())

    @app.get("/live")
    async def live() -> dict[str, str]:
        """The process answers."""
        return {"status": "live"}

    @app.get("/ready", responses={503: {"model": Refusal}})
    async def ready() -> dict[str, str]:
        """The process can predict, and is not about to stop."""
        if app.state.draining:
            raise NotReadyError("draining: this process is about to stop")
        if state.model is None:
            raise NotReadyError(state.reason)
        return {"status": "ready", "version": version}

    @app.get("/metrics", response_class=Response)
    async def metrics() -> Response:
        """Prometheus metrics."""
        return Response(generate_latest(state.metrics.registry), media_type=CONTENT_TYPE_LATEST)

    @app.exception_handler(NotReadyError)
    async def not_ready(_request: Request, error: NotReadyError) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, 503, {"retry-after": "1"})

    return app


class NotReadyError(RuntimeError):
    """There is no model that can answer."""


def _predict(state: State, flights: list[Any]) -> list[Prediction]:
    """Probabilities of the model; for a flight with an unknown code, the base rate of its training data, marked."""
    if state.model is None or state.card is None:
        raise NotReadyError(state.reason)
    table = as_table(flights)
    known = known_categories(state.model)
    unknown = [[name for name, codes in known.items() if getattr(flight, name) not in codes] for flight in flights]
    for names in unknown:
        for name in names:
            state.metrics.fallbacks.labels(name).inc()
    state.metrics.predictions.inc(len(flights))
    return [
        Prediction(probability=state.card.base_rate if names else float(chance), fallback=bool(names), unknown=names)
        for names, chance in zip(unknown, predict(state.model, table), strict=True)
    ]
