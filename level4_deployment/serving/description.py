"""The service's API as OpenAPI, for `/docs`: FastAPI only describes it here, and plain Starlette answers."""

from typing import Any

from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field

from level2_devops.service.pages import curl
from level2_devops.service.requests import REFUSALS, SHORT_EXAMPLE, Prediction
from level4_deployment.serving.requests import EXAMPLE, NamedBatch, NamedFlight

TITLE = "The platform's prediction service"
PAGES = {
    "/metrics": "requests, predictions and commits of all workers, for Prometheus",
    "/ready": "whether it can predict, and with which versions",
    "/live": "whether the process answers",
}


class NamedPrediction(Prediction):
    """The answer for one flight, once it is in the prediction log."""

    flight_id: str
    version: int = Field(description="of the model that answered")
    request_id: str = Field(description="for make explain REQUEST=")


class NamedPredictions(BaseModel):
    """The answers for several flights, in their order."""

    predictions: list[NamedPrediction]


def example(address: str) -> str:
    """A command that asks the service at `address` for a prediction."""
    return curl(f"{address}/predict", {"flight_id": EXAMPLE["flight_id"], **SHORT_EXAMPLE})


def describe() -> dict[str, Any]:
    """The OpenAPI document."""
    routes = [
        APIRoute("/predict", predict_one, methods=["POST"], responses=REFUSALS),
        APIRoute("/predict/batch", predict_batch, methods=["POST"], responses=REFUSALS),
    ]
    return get_openapi(title=TITLE, version="4", routes=routes)


def predict_one(flight: NamedFlight) -> NamedPrediction:
    """Predict one flight."""
    raise NotImplementedError


def predict_batch(batch: NamedBatch) -> NamedPredictions:
    """Predict up to 1,000 flights."""
    raise NotImplementedError
