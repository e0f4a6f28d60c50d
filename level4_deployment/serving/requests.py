"""Level 2's request with the flight's id: validated as strictly in a third of the time, then turned into features.

The features are computed without a DataFrame, which would take 98% of a request's time; they are the values that the
model was trained on, bit for bit.
"""

import time
from operator import attrgetter
from secrets import token_hex
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import numpy as np
from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    FailFast,
    Field,
    ValidationError,
    model_validator,
)

from level2_devops.features import CATEGORIES
from level2_devops.service import requests
from level2_devops.service.requests import MAX_FLIGHTS, Flight
from level2_devops.service.strict_json import parse_json
from level4_deployment.experiment.assignment import CHAMPION
from level4_deployment.serving.package import Numbers, Strings
from shared.data.schema import FLIGHT, RECENT_DELAYS, WEATHER
from shared.files import source_digest
from shared.settings import NEW_YORK, PROJECT

CODE = ["level2_devops/features.py", "level4_deployment/serving/requests.py"]  # what makes features of a request
_ZONE = ZoneInfo(NEW_YORK)
_PATTERN = FLIGHT.columns["flight_id"].metadata["pattern"].replace(r"\d", "[0-9]")  # \d matches digits of any script
FlightId = Annotated[str, Field(strict=True, pattern=f"^{_PATTERN}$")]
EXAMPLE = {"flight_id": "2013-04-01-B61018-JFK", **requests.EXAMPLE}


class NamedFlight(Flight):  # type: ignore[misc]  # pydantic has made it
    """One flight, with its id."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})
    flight_id: FlightId

    @model_validator(mode="after")
    def _is_the_flight_of_its_id(self) -> "NamedFlight":
        """The id is made of the date in New York, the carrier, its number and the origin."""
        day = self.scheduled_departure.astimezone(_ZONE).date().isoformat()
        known = self.flight_id
        if (known[:10], known[11:13], known[-3:]) != (day, self.carrier, self.origin):
            raise ValueError(
                f"flight_id {known} contradicts date {day}, carrier {self.carrier} or origin {self.origin}"
            )
        return self


_TEXTS = sum(field.annotation in {str, AwareDatetime} for field in NamedFlight.model_fields.values())
_LONGEST_KEPT = 2_000  # bytes; a longer body is logged as the validated flight, without padding

Row = tuple[tuple[str, ...], tuple[float | None, ...]]  # a row of each tensor; None for a missing value
_categories = attrgetter(*CATEGORIES)
_as_sent = attrgetter(*WEATHER, *RECENT_DELAYS)


class NamedBatch(BaseModel):
    """Several flights in one request."""

    model_config = ConfigDict(extra="forbid")
    flights: Annotated[list[NamedFlight], FailFast()] = Field(min_length=1, max_length=MAX_FLIGHTS)


class PendingPrediction:
    """One flight that waits for its prediction.

    asked_at: seconds since 1970; begun: time.perf_counter(); sent: the flight's JSON. Scoring sets the other fields:
    the answer, the version that gave it, and the arm. Without an experiment, every flight is in the champion's arm.
    """

    __slots__ = (
        "answer", "arm", "asked_at", "begun", "departs_at", "experiment",
        "flight_id", "propensity", "request_id", "row", "sent", "version",
    )  # fmt: skip

    def __init__(self, flight: Any, sent: str, begun: float) -> None:
        self.flight_id: str = flight.flight_id
        self.departs_at: float = flight.scheduled_departure.timestamp()
        self.row: Row = features_of(flight)
        self.sent, self.begun, self.asked_at = sent, begun, time.time()
        # Milliseconds first, as in a UUID of version 7: rows that arrive together are neighbours in the log's index.
        self.request_id = f"{int(self.asked_at * 1000):012x}{token_hex(10)}"
        self.experiment: str | None = None
        self.arm, self.propensity = CHAMPION, 1.0
        self.answer: Any = None  # a Prediction, or why there is none, as a text
        self.version = 0

    def as_row(self) -> tuple[Any, ...]:
        """Its row in the log's table `predictions`."""
        probability, unknown = self.answer
        return (
            self.request_id,
            self.flight_id,
            self.departs_at,
            self.asked_at,
            self.sent,
            self.experiment,
            self.arm,
            self.propensity,
            self.version,
            probability,
            ",".join(unknown),
            time.perf_counter() - self.begun,
        )

    def as_reply(self) -> dict[str, Any]:
        """The caller's answer, without the arm: a caller that knew the arm could behave differently because of it."""
        probability, unknown = self.answer
        return {
            "flight_id": self.flight_id,
            "probability": probability,
            "fallback": bool(unknown),
            "unknown": unknown,
            "version": self.version,
            "request_id": self.request_id,
        }


def read_one(body: bytes) -> list[PendingPrediction]:
    """The flight of a body, in a list; raises ValidationError, RequestValidationError or HTTPException."""
    begun = time.perf_counter()
    flight = _read(NamedFlight, body)
    if body.count(b'"') != _quotes(flight):
        flight = NamedFlight.model_validate(parse_json(body))
    return [PendingPrediction(flight, body.decode() if len(body) <= _LONGEST_KEPT else _json(flight), begun)]


def read_batch(body: bytes) -> list[PendingPrediction]:
    """The flights of a body, in order; raises the same errors as read_one."""
    begun = time.perf_counter()
    batch = _read(NamedBatch, body)
    if body.count(b'"') != 2 + sum(map(_quotes, batch.flights)):
        batch = NamedBatch.model_validate(parse_json(body))
    return [PendingPrediction(flight, _json(flight), begun) for flight in batch.flights]


def _read(model: Any, body: bytes) -> Any:
    """Validate straight from the bytes; an invalid body takes the slow way, which describes its problems better."""
    try:
        return model.model_validate_json(body)
    except ValidationError:
        return model.model_validate(parse_json(body))


def _quotes(flight: Any) -> int:
    """The number of quotation marks in the JSON of a flight without duplicate keys: two for each key and each text.

    More of them may mean a duplicate key, which pydantic accepts; then `parse_json` reads the body again and decides.
    """
    return 2 * (len(flight.model_fields_set) + _TEXTS)


def _json(flight: Any) -> str:
    return flight.model_dump_json(exclude_unset=True)


def code_digest() -> str:
    """SHA-256 of the code that makes features of a request, as its files are now."""
    return source_digest(PROJECT, CODE)


def features_of(flight: Any) -> Row:
    """The features of a validated flight, defined as in `level2_devops.features`."""
    leaves, distance = flight.scheduled_departure, flight.distance
    local = leaves.astimezone(_ZONE)
    minutes = (flight.scheduled_arrival - leaves).total_seconds() / 60
    times = (local.hour * 60 + local.minute, local.weekday(), minutes, distance / minutes * 60)
    return _categories(flight), (distance, *times, *_as_sent(flight))


def tensors(rows: list[Row]) -> tuple[Strings, Numbers]:
    """Both input tensors of some rows; None becomes NaN."""
    return np.array([codes for codes, _ in rows], object), np.array([numbers for _, numbers in rows], np.float32)
