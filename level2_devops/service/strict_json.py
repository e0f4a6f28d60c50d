"""Strict JSON for every service: what cannot be read, stored or sent again is refused, and the refusal names it."""

import json
import re
import reprlib
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from level2_devops.service.observability import request_id
from shared.errors import printable

MAX_NAMES = 100  # in one JSON object
ODD_TEXT = re.compile(rb"\\u(0000|[dD][89a-fA-F])")  # escapes of NUL and of surrogates, which come in pairs


def use_strict_json(app: FastAPI) -> None:
    """Read the requests of all routes that are added from now on strictly, and describe what is wrong with them."""
    app.router.route_class = StrictRoute
    app.exception_handler(RequestValidationError)(reply_invalid)


def parse_json(body: bytes) -> Any:
    """Read JSON without duplicate keys, whose texts can be stored; raises HTTPException or RequestValidationError.

    NaN, Infinity and 1e999 pass here as floats, because the request's schema then refuses them by field.
    """
    try:
        found = json.loads(body.decode(), object_pairs_hook=_object)
        if ODD_TEXT.search(body) and not _storable(json.dumps(found, ensure_ascii=False)):
            raise _problem((), r"holds \u0000 or half of a surrogate pair (\ud800 to \udfff), which is no text")
    except RecursionError:
        raise HTTPException(400, "the body is nested too deeply") from None
    except ValueError as error:
        raise HTTPException(400, f"the body is not JSON: {error}") from None
    return found


def _storable(text: str) -> bool:
    """Whether a database can hold it: UTF-8 has no half of a pair, and PostgreSQL no NUL, here still an escape."""
    return "\\u0000" not in text and text == text.encode(errors="replace").decode()


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(pairs) > MAX_NAMES:  # each unknown name would be a problem of its own in the reply
        raise _problem((), f"has {len(pairs):,} names in one object; {MAX_NAMES} are allowed")
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise _problem((name,), "is given twice")
        found[name] = value
    return found


def _problem(where: tuple[str, ...], message: str) -> RequestValidationError:
    return RequestValidationError([{"loc": ("body", *where), "msg": message, "type": "json"}])


class StrictRequest(Request):
    """A request whose body is read by `parse_json`."""

    async def json(self) -> Any:
        """The body as Python objects."""
        return parse_json(await self.body())


class StrictRoute(APIRoute):
    """A FastAPI route that reads its requests strictly."""

    def get_route_handler(self) -> Callable[[Request], Any]:
        """FastAPI's handler, which gets a StrictRequest."""
        handler = super().get_route_handler()

        async def strict(request: Request) -> Any:
            try:
                return await handler(StrictRequest(request.scope, request.receive))
            except HTTPException as error:  # FastAPI turns every error while reading into a 400
                raise (error.__cause__ if isinstance(error.__cause__, RequestValidationError) else error) from None

        return strict


def describe_validation_error(error: ValidationError | RequestValidationError) -> list[dict[str, Any]]:
    """Each problem with its field, for example flights.3.temp; values are texts, because JSON has no NaN."""
    skip = isinstance(error, RequestValidationError)  # FastAPI's locations begin with "body"
    return [
        {
            "field": ".".join(printable(str(part)[:80]) for part in problem["loc"][skip:]) or "body",
            "problem": problem["msg"].removeprefix("Value error, "),
            "value": reprlib.repr(problem["input"]) if "input" in problem and problem["type"] != "missing" else None,
        }
        for problem in error.errors()
    ]


async def reply_invalid(_request: Request, error: Exception) -> JSONResponse:
    """The exception handler of every service: status 422 with every problem."""
    assert isinstance(error, ValidationError | RequestValidationError)  # noqa: S101 - registered for these two
    identity = {"request_id": request_id.get()} if request_id.get() else {}
    return JSONResponse({"detail": describe_validation_error(error), **identity}, 422)
