"""What is asked: level 2's request with the flight's name, read as strictly, and in a third of the time."""

import reprlib
import time
from secrets import token_hex
from typing import Annotated, Any

from fastapi import HTTPException
from fastapi.exceptions import RequestValidationError
from pydantic import AwareDatetime, BaseModel, ConfigDict, FailFast, Field, ValidationError, create_model

from level2_devops.service.requests import MAX_FLIGHTS, Flight, parse_json
from level4_deployment.experiment.assignment import CHAMPION
from level4_deployment.serving.online_features import Row, row_of
from shared.data.schema import FLIGHT

_PATTERN = FLIGHT.columns["flight_id"].metadata["pattern"].replace(r"\d", "[0-9]")  # \d takes digits of all scripts
_NAME: Any = Annotated[str, Field(strict=True, pattern=f"^{_PATTERN}$")], ...
NamedFlight: Any = create_model("NamedFlight", __base__=Flight, flight_id=_NAME)
_TEXTS = sum(field.annotation in {str, AwareDatetime} for field in NamedFlight.model_fields.values())
_LONGEST_KEPT = 2_000  # bytes of a body that goes into the log as it was sent


class NamedBatch(BaseModel):
    """Several flights in one request."""

    model_config = ConfigDict(extra="forbid")
    flights: Annotated[list[NamedFlight], FailFast()] = Field(min_length=1, max_length=MAX_FLIGHTS)


class PendingPrediction:
    """One flight that is asked for, and what becomes of it.

    asked_at: seconds since 1970; begun: by the clock that measures; sent: its JSON. The rest is filled in as it is
    scored: who answers and what, in whose arm; without an experiment all are the champion's.
    """

    __slots__ = (
        "answer", "arm", "asked_at", "begun", "departs_at", "experiment",
        "flight_id", "propensity", "request_id", "row", "sent", "version",
    )  # fmt: skip

    def __init__(self, flight: Any, sent: str, begun: float) -> None:
        self.flight_id: str = flight.flight_id
        self.departs_at: float = flight.scheduled_departure.timestamp()
        self.row: Row = row_of(flight)
        self.sent, self.begun, self.asked_at = sent, begun, time.time()
        # The time first, in ms, as in a UUID of version 7: what comes in together lies together in the log's index.
        self.request_id = f"{int(self.asked_at * 1000):012x}{token_hex(10)}"
        self.experiment: str | None = None
        self.arm, self.propensity = CHAMPION, 1.0
        self.answer: Any = None  # or why there is none, as a text
        self.version = 0

    def as_row(self) -> tuple[Any, ...]:
        """Its row in the log's table of predictions."""
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
        """What the caller gets. The arm is nobody's business: a caller that knew it could act by it."""
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
    """The flights of a body, in order; raises as read_one does."""
    begun = time.perf_counter()
    batch = _read(NamedBatch, body)
    if body.count(b'"') != 2 + sum(map(_quotes, batch.flights)):
        batch = NamedBatch.model_validate(parse_json(body))
    return [PendingPrediction(flight, _json(flight), begun) for flight in batch.flights]


def _read(model: Any, body: bytes) -> Any:
    """Validate straight from the bytes; what is wrong with them, the slow way tells better."""
    try:
        return model.model_validate_json(body)
    except ValidationError:
        return model.model_validate(parse_json(_utf8(body)))


def _utf8(body: bytes) -> bytes:
    """The body, if it is UTF-8 without a mark at its start (RFC 8259, 8.1); Python would read UTF-16 and UTF-32 too."""
    try:
        plain = not body.decode().startswith("\ufeff") and b"\0" not in body
    except UnicodeDecodeError:
        plain = False
    if not plain:
        raise HTTPException(400, "the body is not JSON: it must be UTF-8, without a byte order mark")
    return body


def _quotes(flight: Any) -> int:
    """How many quotation marks a flight's JSON has when no name is in it twice.

    Names and texts have two each. With more, a name may be given twice, which pydantic would not mind: then `parse`
    decides.
    """
    return 2 * (len(flight.model_fields_set) + _TEXTS)


def _json(flight: Any) -> str:
    return flight.model_dump_json(exclude_unset=True)


def describe_validation_error(error: ValidationError | RequestValidationError) -> list[dict[str, Any]]:
    """What is wrong, by field, as level 2 tells it; values as text, for a NaN could not be sent back as JSON."""
    skip = isinstance(error, RequestValidationError)  # its places begin with "body"
    return [
        {
            "field": ".".join(_shown(part) for part in problem["loc"][skip:]) or "body",
            "problem": problem["msg"].removeprefix("Value error, "),
            "value": reprlib.repr(problem["input"]) if "input" in problem and problem["type"] != "missing" else None,
        }
        for problem in error.errors()
    ]


def _shown(part: object) -> str:
    """A name as it can be sent: JSON may hold half a character, which UTF-8 may not."""
    return str(part)[:80].encode(errors="backslashreplace").decode()
