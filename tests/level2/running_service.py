"""A running service of level 2, as its tests see it."""

import socket
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx


@dataclass
class Service:
    """A running service. ready: the line that it printed when it was ready, or not ready."""

    process: "subprocess.Popen[str]"
    ready: dict[str, str]
    client: httpx.Client
    log: Path

    @property
    def address(self) -> str:
        return self.ready["address"]

    def metric(self, line: str) -> float:
        """The value of one line of /metrics."""
        found = [row for row in self.client.get("/metrics").text.splitlines() if row.startswith(line + " ")]
        return float(found[0].split()[-1]) if found else 0.0


def connect(address: str) -> socket.socket:
    """A connection to a server, for what no client sends."""
    host, _, port = address.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), timeout=20)


Starter = Callable[[Path], Service]
