"""Limits of every server of the project: it refuses requests that are too large, too slow, or too many at once."""

import asyncio

import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from level2_devops.service.callers import CallerMiddleware

MAX_BYTES = 1 << 20  # of a body; of a head too
MAX_BYTES_HELD = 64 << 20  # of all bodies, complete or not
HEAD_SECONDS = BODY_SECONDS = REPLY_SECONDS = 10.0  # from the first byte to the last
MAX_CONNECTIONS = 1_000
MAX_PIPELINED = 32  # requests of one connection that wait for the reply to the one before them
MAX_IN_FLIGHT = 32  # small requests with a complete body
MAX_ROWS = 8_000  # of all large requests in flight: about four full batches
ROW = 256  # bytes of a body that count as a row: a flight takes more
LARGE = 64  # rows: a request of more takes turns with others
ALWAYS_ANSWERED = ("/live", "/ready", "/metrics")


def protect(app: Starlette, most_in_flight: int = MAX_IN_FLIGHT) -> None:
    """Add the limits and, around them, the check of the caller; for middleware that is added later, both are inside."""
    app.add_middleware(LimitsMiddleware, most_in_flight=most_in_flight)
    app.add_middleware(CallerMiddleware)


def server_config(app: ASGIApp) -> uvicorn.Config:
    """The settings of uvicorn for every server, with the limits of its connections."""
    return uvicorn.Config(
        app,
        http=LimitedConnection,
        ws="none",  # no server of ours needs it, and it has limits of its own
        log_config=None,  # a middleware logs requests, where they are logged
        access_log=False,
        proxy_headers=False,
        timeout_keep_alive=30,  # seconds
        timeout_graceful_shutdown=10,
    )


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


class PipelineError(RuntimeError):
    """Too many requests of one connection wait."""


class LimitedConnection(HttpToolsProtocol):
    """uvicorn's protocol with limits, where uvicorn reads, keeps or waits without end.

    A head: its size and its time; the sizes and extensions of chunks, and the trailers after them, count too. Requests
    that are sent before the last one is answered: uvicorn would parse all that have arrived. A reply that the client
    does not read. And the number of connections.
    """

    deadline: asyncio.TimerHandle | None = None  # set while a head is incomplete
    unread: asyncio.TimerHandle | None = None  # set while the client does not read
    head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start to wait for the first head."""
        super().connection_made(transport)
        self._await_head()
        if len(self.connections) > MAX_CONNECTIONS:
            transport.write(b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\n")
            transport.write(b"connection: close\r\n\r\n")
            transport.close()

    def on_message_begin(self) -> None:
        """Start to wait for the rest of a head; uvicorn itself closes a connection that is idle between requests."""
        super().on_message_begin()
        self._await_head()

    def on_headers_complete(self) -> None:
        """Stop waiting: the head is complete. An error ends the parsing, and uvicorn closes the connection with 400."""
        self._end_wait()
        if len(self.pipeline) >= MAX_PIPELINED:
            raise PipelineError
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

    def pause_writing(self) -> None:
        """Give the client some time to read its reply."""
        super().pause_writing()
        self.unread = self.loop.call_later(REPLY_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Stop waiting: it reads."""
        super().resume_writing()
        self._end_reply()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._end_wait()
        self._end_reply()
        super().connection_lost(exc)

    def _await_head(self) -> None:
        self._end_wait()
        self.head_bytes = 0
        self.deadline = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _end_reply(self) -> None:
        if self.unread:
            self.unread.cancel()
            self.unread = None

    def _end_wait(self) -> None:
        if self.deadline:
            self.deadline.cancel()
            self.deadline = None
