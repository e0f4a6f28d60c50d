"""A server that says when it is ready, and drains before it stops."""

import asyncio
import json
import os
import socket
from typing import Any

import uvicorn

from level2_devops.service.limits import BoundedHead

NOTICE_SECONDS = 0.3  # not ready, still accepting: whoever watches /ready sends new connections elsewhere
DRAIN_SECONDS = 1.0  # at the most, accepting no more: each reply tells its connection to close


class GracefulServer(uvicorn.Server):
    """A uvicorn server that says when it is ready, and drains before it stops.

    Closing an idle keep-alive connection at the moment its next request is on the way would lose that request.
    So for a while every reply closes its connection, and only what stays silent is closed unasked.
    """

    def __init__(self, app: Any, parent: int | None) -> None:
        quiet: dict[str, Any] = {
            "log_config": None,
            "access_log": False,
            "proxy_headers": False,
        }  # we log requests ourselves
        ends: dict[str, Any] = {"timeout_keep_alive": 30, "timeout_graceful_shutdown": 10}  # seconds
        super().__init__(uvicorn.Config(app, http=BoundedHead, **quiet, **ends))
        self.app, self.parent = app, parent

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then print one JSON line: ready with the address, or not ready with the reason."""
        await super().startup(sockets)
        state = self.app.state
        address = "http://{}:{}".format(*self.servers[0].sockets[0].getsockname()[:2])
        told = {"event": "not ready", "reason": state.service.reason} if state.service.reason else {"event": "ready"}
        if self.parent:
            self.watch = asyncio.create_task(self._leave_with_parent())
        print(json.dumps({**told, "version": state.service.version, "address": address}), flush=True)  # noqa: T201

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

    async def _leave_with_parent(self) -> None:
        """End once the process that handed the socket over is gone: nobody else would ever end this one."""
        while os.getppid() == self.parent:
            await asyncio.sleep(0.5)
        self.should_exit = True
