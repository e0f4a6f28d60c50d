"""A uvicorn server that reports when it is ready, and drains before it stops."""

import asyncio
import json
import socket
from typing import Any

import uvicorn

from level2_devops.service.limits import server_config

NOTICE_SECONDS = 0.3  # not ready but still accepting: a load balancer that polls /ready stops sending connections
DRAIN_SECONDS = 1.0  # at most, no longer accepting: each reply closes its connection


class GracefulServer(uvicorn.Server):
    """A uvicorn server that prints a line when it is ready, and drains before it stops.

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
