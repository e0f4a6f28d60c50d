"""The least that FastAPI can do with a flight, parse its JSON and return a constant: the benchmark's unit of speed."""

from typing import Any

from fastapi import FastAPI


def create_app() -> FastAPI:
    """The service."""
    app = FastAPI()

    @app.post("/predict")
    async def predict(flight: dict[str, Any]) -> dict[str, float]:
        return {"probability": 0.2 if flight else 0.0}

    return app
