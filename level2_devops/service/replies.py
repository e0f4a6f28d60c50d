"""The schema of the replies."""

from typing import Any

from pydantic import BaseModel, Field


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
