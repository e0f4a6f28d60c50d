"""Real flights as the requests that the service gets, and what a model says of them."""

import json
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shared.data.flights import load_flights
from shared.data.schema import KNOWN_BEFORE
from shared.data.split import history
from shared.settings import Settings


def as_requests(flights: pd.DataFrame) -> list[dict[str, Any]]:
    """Each flight as the JSON of a request: instants as ISO texts, and nothing for what is not known."""
    return [
        {name: _json(row[name]) for name in KNOWN_BEFORE if pd.notna(row[name])} for row in flights.to_dict("records")
    ]


def _json(value: Any) -> Any:
    return value.isoformat() if isinstance(value, pd.Timestamp) else value


def golden(model: Path, settings: Settings, count: int) -> tuple[list[dict[str, Any]], NDArray[np.float64]]:
    """`count` flights spread over the history, as requests, and (count,) probabilities that must be answered.

    They are the model's own; where a flight has a code that is newer than the model, its base rate.
    """
    from level2_devops.model import known_categories, load, predict

    known = history(load_flights(settings), settings.now)
    flights = known.iloc[np.linspace(0, len(known) - 1, count).astype(int)]
    fitted, card = load(model)
    unknown = np.any([~flights[name].isin(codes) for name, codes in known_categories(fitted).items()], axis=0)
    return as_requests(flights), np.where(unknown, card.base_rate, predict(fitted, flights))


def ask(address: str, route: str, body: Any) -> Any:
    """POST `body` as JSON to a service on loopback; returns the answer's JSON."""
    request = urllib.request.Request(address + route, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)
