"""The load of the benchmark: connections that each send a request, wait for its answer, and send the next.

A process of its own, on the bare protocol: a usual client takes longer for a request than the services measured here.
`python -m level4_deployment.benchmarks.load_client PORT REQUESTS.json CONNECTIONS SECONDS` prints one JSON line.
"""

import asyncio
import json
import sys
import time
from itertools import cycle
from pathlib import Path

from uvicorn.loops.auto import auto_loop_factory


class Connection(asyncio.Protocol):
    """One connection, kept open, with one request on its way at any time."""

    def __init__(self, requests: "cycle[bytes]", until: float) -> None:
        self.requests, self.until = requests, until
        self.milliseconds: list[float] = []
        self.errors = 0
        self.got = b""
        self.ended = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Send the first request."""
        self.transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        """Take the answer; once it is whole, send the next request."""
        self.got += data
        head, found, body = self.got.partition(b"\r\n\r\n")
        if not found or len(body) < _length(head):
            return
        self.milliseconds.append((time.perf_counter() - self.begun) * 1000)
        self.errors += not head.startswith(b"HTTP/1.1 200")
        self.got = b""
        if time.perf_counter() < self.until:
            self._send()
        else:
            self.transport.close()

    def connection_lost(self, _exc: Exception | None) -> None:
        """The end, wanted or not: an answer that did not come is an error."""
        self.errors += time.perf_counter() < self.until
        if not self.ended.done():
            self.ended.set_result(None)

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
    made = [
        (await loop.create_connection(lambda: Connection(shared, begun + seconds), "127.0.0.1", port))[1]
        for _ in range(connections)
    ]
    await asyncio.wait_for(asyncio.gather(*(one.ended for one in made)), seconds + 30)
    milliseconds = [value for one in made for value in one.milliseconds]
    took = time.perf_counter() - begun
    return {"rate": len(milliseconds) / took, "ms": milliseconds, "errors": sum(one.errors for one in made)}


def as_bytes(path: str, body: bytes) -> bytes:
    """A whole request."""
    head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


def main() -> None:
    """Read the requests, load, tell."""
    port, file, connections, seconds = sys.argv[1:]
    told = json.loads(Path(file).read_text())
    requests = [as_bytes(told["path"], json.dumps(body).encode()) for body in told["bodies"]]
    with asyncio.Runner(loop_factory=auto_loop_factory()) as loop:  # uvloop, where there is one
        json.dump(loop.run(load(int(port), requests, int(connections), float(seconds))), sys.stdout)


if __name__ == "__main__":
    main()
