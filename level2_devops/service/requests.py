"""The schema of requests and replies: types, units and ranges come from the data contract and nowhere else."""

import re
from datetime import datetime
from typing import Annotated, Any

import numpy as np
import pandas as pd
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

from level2_devops.service.pages import curl
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
    "all_airports_overdue": 24,
    "flight_late_last_40": 42.5,
}
SHORT_EXAMPLE = {name: value for name, value in EXAMPLE.items() if not KNOWN_BEFORE[name].nullable}
MAX_FLIGHTS = 1_000  # in one batch


def example(address: str) -> str:
    """A command that asks the service at `address` for a prediction."""
    return curl(f"{address}/predict", SHORT_EXAMPLE)


def _only_dates(value: object) -> object:
    """Refuse a number, which would pass as seconds since 1970."""
    if not isinstance(value, str) or not re.match(r"\d{4}-\d\d-\d\d", value):
        raise ValueError("should be a date and time with offset, such as 2013-04-01T17:30:00-04:00")
    return value


def _within_reach(value: datetime) -> datetime:
    """Allow only years that pandas and the time-zone tables can hold."""
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
    pattern = about.get("pattern", "[A-Z]{3}")  # an unknown origin is answered too, by the base rate
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
    __doc__="A flight and what is known about it one hour before its scheduled departure; unknown values are left out.",
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


def flights_as_requests(flights: pd.DataFrame, *, with_id: bool = False) -> list[dict[str, Any]]:
    """The JSON of a request for each flight: instants as ISO 8601 texts, missing values left out.

    with_id: include `flight_id`, which level 4's service needs and level 2's refuses.
    """
    names = ["flight_id", *KNOWN_BEFORE] if with_id else list(KNOWN_BEFORE)
    rows = zip(*(_json_values(flights[name]) for name in names), strict=True)
    return [{name: value for name, value in zip(names, row, strict=True) if value == value} for row in rows]  # noqa: PLR0124 - NaN


def _json_values(column: pd.Series) -> list[Any]:
    """A column's values; instants are formatted together, because one by one takes a third of a request's time."""
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        return list(np.datetime_as_string(column.to_numpy("datetime64[s]"), timezone="UTC").tolist())
    return column.tolist()


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


REFUSALS: dict[int | str, dict[str, Any]] = {
    422: {"model": Problems},
    **{status: {"model": Refusal} for status in (400, 408, 413, 503)},
}
