"""What the service refuses: bodies too large or too slow, and more requests at once than it can answer."""

import asyncio

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BYTES = 1 << 20  # of a body
BODY_SECONDS = 10.0  # from the first byte of a request to the last
MOST_IN_FLIGHT = 64
ALWAYS_ANSWERED = ("/live", "/ready", "/metrics")


class Limits:
    """ASGI middleware that reads a body whole, within bounds, before the application sees the request."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request: 503 for one too many, 413 or 408 for its body, else what the application says."""
        if scope["type"] != "http" or scope["path"] in ALWAYS_ANSWERED:
            await self.app(scope, receive, send)
            return
        if self.in_flight >= MOST_IN_FLIGHT:
            shed = _refusal(503, "too many requests at once; try again in a second", **{"retry-after": "1"})
            await shed(scope, receive, send)
            return
        self.in_flight += 1
        try:
            await self._answer(scope, receive, send)
        finally:
            self.in_flight -= 1

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await _read(receive)
        except TimeoutError:
            await _refusal(408, f"the body did not come within {BODY_SECONDS:g} seconds")(scope, receive, send)
            return
        if body is None:
            await _refusal(413, f"the body has more than {MOST_BYTES:,} bytes")(scope, receive, send)
            return
        parts: list[Message] = [{"type": "http.request", "body": body}]

        async def receive_again() -> Message:
            return parts.pop() if parts else await receive()

        await self.app(scope, receive_again, send)


async def _read(receive: Receive) -> bytes | None:
    """The body, or None as soon as it is too large."""
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > MOST_BYTES:
            return None
        if not message.get("more_body", False):
            return bytes(body)


def _refusal(status: int, detail: str, **headers: str) -> JSONResponse:
    return JSONResponse({"detail": detail}, status, {"connection": "close", **headers})
