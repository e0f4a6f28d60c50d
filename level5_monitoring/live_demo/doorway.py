"""What answers at the demo's address from its first seconds on: the demo's libraries take ten seconds to load."""

import time

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from level2_devops.service.limits import protect

LOADING = "loading the libraries"
PAGE = (
    f"<!doctype html><meta charset='utf-8'><title>The year</title><p>The demo is {LOADING}; it takes about ten seconds."
)


class Doorway:
    """An application that shows that the demo is starting, until the one `behind` it is there to answer."""

    def __init__(self) -> None:
        self.behind: ASGIApp | None = None
        self.begun = time.monotonic()
        self.door = Starlette(routes=[Route("/", self.page), Route("/state", self.state)])
        protect(self.door)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        await (self.door if self.behind is None or scope["type"] == "lifespan" else self.behind)(scope, receive, send)

    async def page(self, _request: Request) -> HTMLResponse:
        """A page that asks again each second."""
        return HTMLResponse(PAGE, headers={"refresh": "1", "cache-control": "no-store"})

    async def state(self, _request: Request) -> JSONResponse:
        """As the live page's."""
        activity = {"what": LOADING, "seconds": round(time.monotonic() - self.begun, 1), "share": None}
        return JSONResponse({"stamp": "", "stage": "starting", "activity": activity, "clock": None, "faults": []})
