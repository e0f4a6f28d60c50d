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
        """Answer one request: 503 when too many are under way, 413 or 408 for its body, else as the application does."""
        if scope["type"] != "http" or scope["path"] in ALWAYS_ANSWERED:
            await self.app(scope, receive, send)
            return
        if self.in_flight >= MOST_IN_FLIGHT:
            await _refuse(503, "too many requests at once; try again in a second", scope, receive, send, {"retry-after": "1"})
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
            await _refuse(408, f"the body did not come within {BODY_SECONDS:g} seconds", scope, receive, send)
            return
        if body is None:
            await _refuse(413, f"the body has more than {MOST_BYTES:,} bytes", scope, receive, send)
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


async def _refuse(
    status: int, detail: str, scope: Scope, receive: Receive, send: Send, headers: dict[str, str] | None = None
) -> None:
    reply = JSONResponse({"detail": detail}, status, {"connection": "close", **(headers or {})})
    await reply(scope, receive, send)
