"""The uvicorn server of every service: its connections have limits, and it drains before it stops."""

import asyncio
import json
import socket
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 1 << 20
HEAD_SECONDS = REPLY_SECONDS = 10.0  # from the first byte to the last
MAX_CONNECTIONS = 1_000
MAX_PIPELINED = 32  # requests of one connection that wait for the reply to the one before them
NOTICE_SECONDS = 0.3  # not ready but still accepting: a load balancer that polls /ready stops sending connections
DRAIN_SECONDS = 1.0  # at most, no longer accepting: each reply closes its connection


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


class PipelineError(RuntimeError):
    """Too many requests of one connection wait."""


class LimitedConnection(HttpToolsProtocol):
    """uvicorn's protocol with limits, where uvicorn reads, keeps or waits without end.

    A head: its size and its time; the sizes and extensions of chunks, and the trailers after them, count too. Requests
    that are sent before the last one is answered: uvicorn would parse all that have arrived. A reply that the client
    does not read. And the number of connections.
    """

    deadline: asyncio.TimerHandle | None = None  # to receive a head
    unread: asyncio.TimerHandle | None = None  # to read a reply
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
        _cancel(self.deadline)
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
        if self.head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response(f"The head has more than {MAX_HEAD_BYTES:,} bytes.")

    def pause_writing(self) -> None:
        """Give the client some time to read its reply."""
        super().pause_writing()
        self.unread = self.loop.call_later(REPLY_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Stop waiting: it reads."""
        super().resume_writing()
        _cancel(self.unread)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        _cancel(self.deadline, self.unread)
        super().connection_lost(exc)

    def _await_head(self) -> None:
        _cancel(self.deadline)
        self.head_bytes = 0
        self.deadline = self.loop.call_later(HEAD_SECONDS, self.transport.close)


def _cancel(*timers: asyncio.TimerHandle | None) -> None:
    for timer in timers:
        if timer:
            timer.cancel()


class GracefulServer(uvicorn.Server):
    """Prints a line when it is ready, and drains before it stops.

    If it closed an idle keep-alive connection while the next request is on its way, that request would be lost.
    So for a while every reply closes its connection, and only connections that stay silent are closed after that.
    """

    def __init__(self, app: Any, version: str, reason: str = "") -> None:
        """version, reason (why it is not ready): for the line it prints."""
        super().__init__(server_config(app))
        self.app, self.version, self.reason = app, version, reason

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then print one JSON line: ready with the address, or not ready with the reason."""
        await super().startup(sockets)
        address = "http://{}:{}".format(*self.servers[0].sockets[0].getsockname()[:2])
        line = {"event": "not ready", "reason": self.reason} if self.reason else {"event": "ready"}
        print(json.dumps({**line, "version": self.version, "address": address}), flush=True)  # noqa: T201

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Fail readiness, stop accepting, drain, stop."""
        self.app.state.draining = True
        await asyncio.sleep(NOTICE_SECONDS)
        for server in self.servers:
            server.close()
        for _ in range(20):
            await asyncio.sleep(DRAIN_SECONDS / 20)
            if not self.server_state.connections:
                break
        await super().shutdown(sockets)
