"""What every server of the project refuses: pages of other sites; requests too large, too slow, or too many at once.

`uvicorn_server` holds the limits of a connection, before there is a request.
"""

import asyncio

from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = (b"127.0.0.1", b"localhost")
READING = ("GET", "HEAD", "OPTIONS")
MAX_BYTES = 1 << 20  # of a body
MAX_BYTES_HELD = 64 << 20  # of all bodies, complete or not
BODY_SECONDS = 10.0  # from the first byte to the last
MAX_IN_FLIGHT = 32  # small requests with a complete body
MAX_ROWS = 8_000  # of all large requests in flight: about four full batches
ROW = 256  # bytes of a body that count as a row: a flight takes more
LARGE = 64  # rows: a request of more takes turns with others
ALWAYS_ANSWERED = ("/live", "/ready", "/metrics")


def protect(app: Starlette, most_in_flight: int = MAX_IN_FLIGHT) -> None:
    """Add the limits and, around them, the check of the caller; for middleware that is added later, both are inside."""
    app.add_middleware(LimitsMiddleware, most_in_flight=most_in_flight)
    app.add_middleware(CallerMiddleware)


class LimitsMiddleware:
    """ASGI middleware that reads the whole body, within limits, before the application sees the request.

    Only a request with a complete body counts as in flight, so clients that stall do not block others. Small requests
    are counted, large ones by their rows, for the work grows with these. Large ones are answered one after the other:
    a small one waits for one of them at most, however many there are.
    """

    def __init__(self, app: ASGIApp, most_in_flight: int = MAX_IN_FLIGHT) -> None:
        self.app, self.most_in_flight = app, most_in_flight
        self.in_flight = 0  # small requests
        self.rows = 0  # of large requests in flight
        self.held = 0  # bytes
        self.turn = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it: 503 for one too many, 400, 408 or 413 because of its body."""
        if scope["type"] != "http" or scope["path"] in ALWAYS_ANSWERED:
            await self.app(scope, receive, send)
            return
        body = bytearray()
        try:
            refusal = self._refuse(_announced(scope)) or await self._read(receive, body) or self._refuse(len(body))
            if refusal:
                await refusal(scope, receive, send)
            else:
                await self._answer(bytes(body), scope, receive, send)
        finally:
            self.held -= len(body)

    def _refuse(self, length: int) -> JSONResponse | None:
        """A refusal for a body of so many bytes, or for one request too many; uvicorn drops a body that is not read."""
        if length > MAX_BYTES:
            return _refusal(413, f"the body has more than {MAX_BYTES:,} bytes")
        rows = length // ROW
        busy = self.rows + rows > MAX_ROWS if rows > LARGE else self.in_flight >= self.most_in_flight
        return _refusal(503, "too many requests or rows at once; try again in a second") if busy else None

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
        rows = len(body) // ROW
        parts: list[Message] = [{"type": "http.request", "body": body}]
        reply: list[Message] = []  # sent at the end, for a client that does not read it must not keep its turn

        async def receive_again() -> Message:
            return parts.pop() if parts else await receive()

        async def keep(message: Message) -> None:
            reply.append(message)

        if rows > LARGE:
            self.rows += rows
            try:
                async with self.turn:
                    await self.app(scope, receive_again, keep)
            finally:
                self.rows -= rows
        else:
            self.in_flight += 1
            try:
                await self.app(scope, receive_again, keep)
            finally:
                self.in_flight -= 1
        for message in reply:
            await send(message)


def _announced(scope: Scope) -> int:
    """The length of the body (bytes) by its header, or 0."""
    return next((int(value) for name, value in scope["headers"] if name == b"content-length"), 0)


def _refusal(status: int, detail: str) -> JSONResponse:
    """A 503 leaves the connection open, for the next attempt."""
    return JSONResponse({"detail": detail}, status, {"retry-after": "1"} if status == 503 else {"connection": "close"})


class CallerMiddleware:
    """ASGI middleware that refuses a request with a foreign Host, or with a foreign Origin if it changes something.

    Host: the name in a page's address may be made to mean this machine (DNS rebinding). It is checked where the request
    arrived on loopback; in a container, the person who runs it chooses the name. Origin: browsers send it with each
    request that may change something; a client without one is no page.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it with 403."""
        if scope["type"] == "lifespan" or not (why := _foreign(scope)):
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close"})  # before it is accepted: uvicorn answers with 403
        else:
            await JSONResponse({"detail": why}, 403, {"connection": "close"})(scope, receive, send)


def _foreign(scope: Scope) -> str:
    """Why the caller is refused, or nothing."""
    host = origin = None
    for name, value in scope["headers"]:
        if name == b"host":
            host = value.lower()
        elif name == b"origin":
            origin = value.lower()
    on_loopback = scope["server"] and scope["server"][0].startswith("127.")
    if on_loopback and (not host or (host.rpartition(b":")[0] or host) not in LOOPBACK):
        return f"the header Host must be 127.0.0.1 or localhost, with the port; it is {host!r}"
    if origin not in (None, b"http://" + (host or b"")) and scope.get("method") not in READING:
        return f"only this server's own pages may do that, not those of {origin!r}"
    return ""
