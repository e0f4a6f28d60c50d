"""What a request must look like: types, units and ranges come from the data contract, from nowhere else."""

import json
import re
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

import numpy as np
import pandas as pd
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    create_model,
    model_validator,
)
from starlette.exceptions import HTTPException

from shared.data.schema import KNOWN_BEFORE

EXAMPLE: dict[str, Any] = {
    "carrier": "B6",
    "origin": "JFK",
    "dest": "BOS",
    "distance": 187,
    "scheduled_departure": "2013-04-01T17:30:00-04:00",
    "scheduled_arrival": "2013-04-01T18:45:00-04:00",
    "temp": 51.8,
    "wind_speed": 17.3,
    "airport_delay_1h": 24.5,
    "airport_departures_1h": 21,
    "airport_overdue": 9,
}
MAX_FLIGHTS = 1_000  # in one batch
MAX_NAMES = 100  # in one JSON object


def _only_dates(value: object) -> object:
    """A number, or a text of one, would pass as seconds since 1970."""
    if not isinstance(value, str) or not re.match(r"\d{4}-\d\d-\d\d", value):
        raise ValueError("should be a date and time with offset, such as 2013-04-01T17:30:00-04:00")
    return value


def _within_reach(value: datetime) -> datetime:
    """Keep to years whose every instant pandas and the time-zone tables can hold."""
    if not 2000 <= value.year <= 2100:
        raise ValueError("should lie in the years 2000 to 2100")
    return value


def _field(column: Any) -> Any:
    """The type of a request's field, from the column's metadata in the contract."""
    about = column.metadata
    if "low" in about:
        number = Annotated[
            float, Field(strict=True, allow_inf_nan=False, ge=about["low"], le=about["high"], description=about["unit"])
        ]
        return (number | None, None) if column.nullable else (number, ...)
    if about.get("unit") == "UTC":
        return Annotated[AwareDatetime, BeforeValidator(_only_dates), AfterValidator(_within_reach)], ...
    pattern = about.get("pattern", "[A-Z]{3}")  # an origin that is not ours is answered too, as a fallback
    return Annotated[str, Field(strict=True, pattern=f"^{pattern}$")], ...


class _InOrder(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [EXAMPLE]})

    @model_validator(mode="after")
    def _arrives_after_it_leaves(self) -> "_InOrder":
        leaves, arrives = self.scheduled_departure, self.scheduled_arrival  # type: ignore[attr-defined]
        if not 0 < (arrives - leaves).total_seconds() <= 24 * 3600:
            raise ValueError("scheduled_arrival should be later than scheduled_departure, by 24 hours at most")
        return self


Flight: Any = create_model(
    "Flight",
    __base__=_InOrder,
    __doc__="A flight and what is known of it one hour before its scheduled departure; what is not known is left out.",
    **{name: _field(column) for name, column in KNOWN_BEFORE.items()},
)


class Batch(BaseModel):
    """Several flights in one request."""

    model_config = ConfigDict(extra="forbid")
    flights: Annotated[list[Flight], FailFast()] = Field(min_length=1, max_length=MAX_FLIGHTS)


def as_table(flights: list[Any]) -> pd.DataFrame:
    """(n, columns of the contract) table of validated flights."""
    rows = [flight.model_dump() for flight in flights]
    return pd.DataFrame({name: _column([row[name] for row in rows], KNOWN_BEFORE[name]) for name in KNOWN_BEFORE})


def _column(values: list[Any], column: Any) -> Any:
    if "low" in column.metadata:
        return np.array(values, dtype=float)  # None becomes NaN
    return pd.to_datetime(values, utc=True) if column.metadata.get("unit") == "UTC" else values


def parse_json(body: bytes) -> Any:
    """Read JSON, no key twice; raises a 400 for what is no JSON.

    NaN, Infinity and 1e999 pass here as floats, for the model of the request then refuses them by field.
    """
    try:
        return json.loads(body, object_pairs_hook=_object)
    except RecursionError:
        raise HTTPException(400, "the body is nested too deeply") from None
    except ValueError as error:
        raise HTTPException(400, f"the body is not JSON: {error}") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(pairs) > MAX_NAMES:  # each would be told as a problem of its own
        raise _problem((), f"has {len(pairs):,} names in one object; a flight has {len(KNOWN_BEFORE)}")
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise _problem((name,), "is given twice")
        found[name] = value
    return found


def _problem(where: tuple[str, ...], message: str) -> RequestValidationError:
    return RequestValidationError([{"loc": ("body", *where), "msg": message, "type": "json"}])


class StrictRequest(Request):
    """A request whose JSON is read by `parse`."""

    async def json(self) -> Any:
        """The body, read strictly."""
        return parse_json(await self.body())


class StrictRoute(APIRoute):
    """A route whose requests are strict."""

    def get_route_handler(self) -> Callable[[Request], Any]:
        """FastAPI's handler, given a StrictRequest."""
        handler = super().get_route_handler()

        async def strict(request: Request) -> Any:
            try:
                return await handler(StrictRequest(request.scope, request.receive))
            except HTTPException as error:  # FastAPI makes a 400 of all that goes wrong in reading; `parse` knows more
                raise (error.__cause__ if isinstance(error.__cause__, RequestValidationError) else error) from None

        return strict
