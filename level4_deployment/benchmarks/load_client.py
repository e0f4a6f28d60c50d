"""The load of the benchmark: each connection sends a request, waits for the response, and sends the next.

It is a process of its own, and speaks HTTP by hand: a usual client needs more time per request than these services.
`python -m level4_deployment.benchmarks.load_client PORT REQUESTS.json CONNECTIONS SECONDS` prints one line of JSON.
"""

import asyncio
import json
import sys
import time
from itertools import cycle
from pathlib import Path

from uvicorn.loops.auto import auto_loop_factory


class Connection(asyncio.Protocol):
    """One connection, kept open, with one request under way at any time."""

    def __init__(self, requests: "cycle[bytes]", until: float) -> None:
        self.requests, self.until = requests, until
        self.milliseconds: list[float] = []
        self.errors = 0
        self.received = b""
        self.closed = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Send the first request."""
        self.transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        """Collect the response; once it is complete, send the next request."""
        self.received += data
        head, found, body = self.received.partition(b"\r\n\r\n")
        if not found or len(body) < _length(head):
            return
        self.milliseconds.append((time.perf_counter() - self.begun) * 1000)
        self.errors += not head.startswith(b"HTTP/1.1 200")
        self.received = b""
        if time.perf_counter() < self.until:
            self._send()
        else:
            self.transport.close()

    def connection_lost(self, _exc: Exception | None) -> None:
        """Count a connection that the service has closed too early as an error."""
        self.errors += time.perf_counter() < self.until
        if not self.closed.done():
            self.closed.set_result(None)

    def _send(self) -> None:
        self.begun = time.perf_counter()
        self.transport.write(next(self.requests))


def _length(head: bytes) -> int:
    after = head.lower().partition(b"content-length:")[2]
    return int(after.partition(b"\r\n")[0])


async def load(port: int, requests: list[bytes], connections: int, seconds: float) -> dict[str, object]:
    """Load a port of this machine; returns the requests/s, the milliseconds of each request, and the errors."""
    loop, shared = asyncio.get_running_loop(), cycle(requests)
    begun = time.perf_counter()
    opened = [
        (await loop.create_connection(lambda: Connection(shared, begun + seconds), "127.0.0.1", port))[1]
        for _ in range(connections)
    ]
    await asyncio.wait_for(asyncio.gather(*(one.closed for one in opened)), seconds + 30)
    milliseconds = [value for one in opened for value in one.milliseconds]
    took = time.perf_counter() - begun
    return {"rate": len(milliseconds) / took, "ms": milliseconds, "errors": sum(one.errors for one in opened)}


def as_bytes(path: str, body: bytes) -> bytes:
    """A whole request."""
    head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


def main() -> None:
    """Read the requests, load the service, print the result."""
    port, file, connections, seconds = sys.argv[1:]
    content = json.loads(Path(file).read_text())
    requests = [as_bytes(content["path"], json.dumps(body).encode()) for body in content["bodies"]]
    with asyncio.Runner(loop_factory=auto_loop_factory()) as loop:  # uvloop, where it is installed
        json.dump(loop.run(load(int(port), requests, int(connections), float(seconds))), sys.stdout)


if __name__ == "__main__":
    main()
