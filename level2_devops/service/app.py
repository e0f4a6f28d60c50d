"""The prediction service: one release with one model, and no global state."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import FastAPI, HTTPException, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sklearn.pipeline import Pipeline

from level2_devops.model import ModelCard, ModelError, known_categories, load, predict
from level2_devops.service.limits import protect
from level2_devops.service.observability import Metrics, RequestMetricsMiddleware, request_id
from level2_devops.service.pages import pages
from level2_devops.service.requests import (
    REFUSALS,
    Answer,
    Answers,
    Batch,
    Flight,
    Prediction,
    Refusal,
    as_table,
    example,
)
from level2_devops.service.strict_json import use_strict_json
from shared.artefacts import MODEL_FILE
from shared.files import file_digest


@dataclass
class State:
    """The loaded model, or the reason why there is none."""

    version: str
    metrics: Metrics
    model: Pipeline | None = None
    card: ModelCard | None = None
    reason: str = ""


TITLE = "Will this flight arrive late?"
PAGES = {
    "/metrics": "requests, seconds and fallbacks, for Prometheus",
    "/ready": "whether it can predict",
    "/live": "whether the process answers",
}


def _start(model_folder: Path, version: str) -> State:
    state, digest = State(version, Metrics()), ""
    try:
        state.model, state.card = load(model_folder)
        digest = file_digest(model_folder / MODEL_FILE)
    except ModelError as error:
        state.reason = str(error)
    state.metrics.release.labels(version, digest).set(1)
    return state


def create_app(model_folder: Path, version: str) -> FastAPI:
    """The service with the model in `model_folder`; when that cannot be read, it is live but not ready."""
    state = _start(model_folder, version)
    app = FastAPI(title=TITLE, version=version, docs_url=None, redoc_url=None)
    app.router.routes += pages(f"{TITLE} Release {version}", PAGES, example)
    use_strict_json(app)
    app.state.draining, app.state.reason = False, state.reason
    protect(app)
    app.add_middleware(RequestMetricsMiddleware, metrics=state.metrics, log_requests=True)

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
            raise _not_ready("draining: this process is about to stop")
        if state.model is None:
            raise _not_ready(state.reason)
        return {"status": "ready", "version": version}

    @app.get("/metrics", response_class=Response)
    async def metrics() -> Response:
        """Prometheus metrics."""
        return Response(generate_latest(state.metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return app


def _not_ready(why: str) -> HTTPException:
    return HTTPException(503, why, {"retry-after": "1"})


def _predict(state: State, flights: list[Any]) -> list[Prediction]:
    """Probabilities of the model; for a flight with an unknown code, the base rate of its training data, marked."""
    if state.model is None or state.card is None:
        raise _not_ready(state.reason)
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
