"""Limits: the service refuses requests that are too large, too slow, or too many at once."""

import asyncio

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_BYTES = 1 << 20  # of a body; of a head too
MAX_BYTES_HELD = 64 << 20  # of all bodies, complete or not
HEAD_SECONDS = BODY_SECONDS = 10.0  # from the first byte to the last
MAX_IN_FLIGHT = 32  # requests with a complete body
ALWAYS_ANSWERED = ("/live", "/ready", "/metrics")


class LimitsMiddleware:
    """ASGI middleware that reads the whole body, within limits, before the application sees the request.

    Only a request with a complete body counts as in flight, so clients that stall do not block others.
    """

    def __init__(self, app: ASGIApp, most_in_flight: int = MAX_IN_FLIGHT) -> None:
        self.app, self.most_in_flight = app, most_in_flight
        self.in_flight = 0
        self.held = 0  # bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it: 503 for one too many, 400, 408 or 413 because of its body."""
        if scope["type"] != "http" or scope["path"] in ALWAYS_ANSWERED:
            await self.app(scope, receive, send)
            return
        body = bytearray()
        try:
            refusal = await self._read(receive, body)
            if refusal is None and self.in_flight >= self.most_in_flight:
                refusal = _refusal(503, "too many requests at once; try again in a second")
            if refusal:
                await refusal(scope, receive, send)
            else:
                await self._answer(bytes(body), scope, receive, send)
        finally:
            self.held -= len(body)

    async def _read(self, receive: Receive, body: bytearray) -> JSONResponse | None:
        """Fill `body`; returns a refusal as soon as a limit is exceeded."""
        try:
            async with asyncio.timeout(BODY_SECONDS):
                more = True
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return _refusal(400, "the client left before its body was complete")
                    part, more = message.get("body", b""), message.get("more_body", False)
                    body += part
                    self.held += len(part)
                    if len(body) > MAX_BYTES:
                        return _refusal(413, f"the body has more than {MAX_BYTES:,} bytes")
                    if self.held > MAX_BYTES_HELD:
                        return _refusal(503, "too many bodies at once; try again in a second")
        except TimeoutError:
            return _refusal(408, f"the body was not complete after {BODY_SECONDS:g} seconds")
        return None

    async def _answer(self, body: bytes, scope: Scope, receive: Receive, send: Send) -> None:
        parts: list[Message] = [{"type": "http.request", "body": body}]

        async def receive_again() -> Message:
            return parts.pop() if parts else await receive()

        self.in_flight += 1
        try:
            await self.app(scope, receive_again, send)
        finally:
            self.in_flight -= 1


def _refusal(status: int, detail: str) -> JSONResponse:
    later = {"retry-after": "1"} if status == 503 else {}
    return JSONResponse({"detail": detail}, status, {"connection": "close", **later})


class BoundedHead(HttpToolsProtocol):
    """uvicorn's protocol with limits on a request's head, which uvicorn lets grow and waits for without end.

    The sizes and extensions of chunks, and the trailers after them, count as head too.
    """

    deadline: asyncio.TimerHandle | None = None  # set while a head is incomplete
    head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start to wait for the first head."""
        super().connection_made(transport)
        self._await_head()

    def on_message_begin(self) -> None:
        """Start to wait for the rest of a head; uvicorn itself closes a connection that is idle between requests."""
        super().on_message_begin()
        self._await_head()

    def on_headers_complete(self) -> None:
        """Stop waiting: the head is complete."""
        self._end_wait()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Do not count the body as head: LimitsMiddleware limits it."""
        self.head_bytes -= len(body)
        super().on_body(body)

    def data_received(self, data: bytes) -> None:
        """Refuse a head that is too large."""
        super().data_received(data)
        self.head_bytes += len(data)
        if self.head_bytes > MAX_BYTES and not self.transport.is_closing():
            self.send_400_response(f"The head has more than {MAX_BYTES:,} bytes.")

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._end_wait()
        super().connection_lost(exc)

    def _await_head(self) -> None:
        self._end_wait()
        self.head_bytes = 0
        self.deadline = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _end_wait(self) -> None:
        if self.deadline:
            self.deadline.cancel()
            self.deadline = None
