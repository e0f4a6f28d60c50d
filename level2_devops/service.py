"""`python -m level2_devops.service`: one release's process, that starts fast and leaves in order."""

import argparse
import asyncio
import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI

from level2_devops.app import create_app
from level2_devops.limits import BoundedHead
from level2_devops.observe import log_as_json

NOTICE_SECONDS = 0.3  # not ready, still accepting: whoever watches /ready sends new connections elsewhere
DRAIN_SECONDS = 1.0  # at the most, accepting no more: each reply tells its connection to close


class Server(uvicorn.Server):
    """A uvicorn server that says when it is ready, and drains before it stops.

    Closing an idle keep-alive connection at the moment its next request is on the way would lose that request.
    So for a while every reply closes its connection, and only what stays silent is closed unasked.
    """

    def __init__(self, app: FastAPI, parent: int | None) -> None:
        quiet: dict[str, Any] = {"log_config": None, "access_log": False}  # we log each request ourselves
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


def main() -> None:
    """Serve until SIGTERM or Ctrl-C, then end with status 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="folder with the model and its card")
    parser.add_argument("--version", required=True, help="name of this release")
    parser.add_argument("--host", default="127.0.0.1", help="only a container, whose network is its own, needs another")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--fd", type=int, help="an inherited listening socket, instead of a port")
    options = parser.parse_args()
    log_as_json()
    for sign in (signal.SIGTERM, signal.SIGINT):  # uvicorn raises the signal again once it has stopped
        signal.signal(sign, lambda *_: sys.exit(0))
    listener = socket.socket(fileno=options.fd) if options.fd else socket.create_server((options.host, options.port))
    app = create_app(options.model, options.version)
    Server(app, os.getppid() if options.fd else None).run([listener])


if __name__ == "__main__":
    main()
