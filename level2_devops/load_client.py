"""The process that loads a service: clients that each send a request, wait for its answer, and send the next.

It speaks the bare protocol, because a usual HTTP client takes longer for a request than level 4's service does, and it
runs as a file, so that it imports nothing of the project:

    python -P load_client.py PORT PATH REQUESTS.json CLIENTS PAUSE SECONDS

It ends after SECONDS, or when its standard input closes, and prints one JSON list with a row for each request:
[time of the answer (Unix), milliseconds, status or 0, version or error].
"""

import asyncio
import json
import os
import sys
import threading
import time
from itertools import cycle
from pathlib import Path
from typing import Any

from uvicorn.loops.auto import auto_loop_factory

LONGEST_ANSWER = 30.0  # seconds after the end of the load
RETRY_AFTER = 0.01  # seconds after a connection that failed


class Client(asyncio.Protocol):
    """One client: at most one request on its way, over a connection that it keeps while the service does."""

    def __init__(self, port: int, requests: "cycle[bytes]", pause: float, over: asyncio.Event) -> None:
        self.port, self.requests, self.pause, self.over = port, requests, pause, over
        self.loop = asyncio.get_running_loop()
        self.ended = self.loop.create_future()
        self.rows: list[list[Any]] = []
        self.transport: asyncio.Transport | None = None
        self.asking = self.closing = False
        self.received = b""

    def send(self) -> None:
        """Send the next request, if need be over a new connection; stop when the load is over."""
        if self.over.is_set():
            if self.transport:
                self.transport.close()
            self.ended.set_result(None)
            return
        self.begun, self.asking = time.perf_counter(), True
        if self.transport is None:
            self.connecting = self.loop.create_task(self._connect())
        else:
            self.transport.write(next(self.requests))

    async def _connect(self) -> None:
        try:
            await self.loop.create_connection(lambda: self, "127.0.0.1", self.port)
        except OSError as error:
            self._record(0, repr(error), RETRY_AFTER)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Send the request that waits for the connection."""
        self.transport, self.received = transport, b""
        transport.write(next(self.requests))

    def data_received(self, data: bytes) -> None:
        """Collect the answer; once it is complete, go on to the next request."""
        self.received += data
        head, found, body = self.received.partition(b"\r\n\r\n")
        if not found:
            return
        head = head.lower()
        if len(body) < int(head.partition(b"content-length:")[2].partition(b"\r\n")[0]):
            return
        self.received = b""
        if b"\r\nconnection: close" in head and self.transport:
            self.closing = True
            self.transport.close()
        self._record(int(head[9:12]), _version(body), 0.0)

    def connection_lost(self, _error: Exception | None) -> None:
        """An error if an answer is outstanding; in any case the next request opens another connection."""
        self.transport = None
        if self.asking:
            self._record(0, "the connection was closed before the answer was complete", RETRY_AFTER)
        elif self.closing:
            self.closing = False
            self._send_after(self.pause)

    def _record(self, status: int, version: Any, wait: float) -> None:
        self.asking = False
        self.rows.append([time.time(), (time.perf_counter() - self.begun) * 1000, status, version])
        if not self.closing:
            self._send_after(max(wait, self.pause))

    def _send_after(self, seconds: float) -> None:
        if seconds:
            self.loop.call_later(seconds, self.send)
        else:
            self.send()


def _version(body: bytes) -> Any:
    """The last value named "version" of an answer, or nothing: to parse all of the JSON would take longer."""
    _, found, rest = body.rpartition(b'"version":')
    return json.loads(rest.partition(b",")[0].partition(b"}")[0]) if found else ""


async def load(port: int, requests: list[bytes], clients: int, pause: float, seconds: float) -> list[list[Any]]:
    """Load a port of this machine for `seconds` at most, or until standard input closes; returns all rows."""
    loop, over = asyncio.get_running_loop(), asyncio.Event()

    def wait_for_close() -> None:
        os.read(0, 1)
        loop.call_soon_threadsafe(over.set)

    threading.Thread(target=wait_for_close, daemon=True).start()
    loop.call_later(seconds, over.set)
    shared = cycle(requests)
    made = [Client(port, shared, pause, over) for _ in range(clients)]
    for one in made:
        one.send()
    await over.wait()
    await asyncio.wait([one.ended for one in made], timeout=LONGEST_ANSWER)
    for one in made:
        if not one.ended.done():
            one.rows.append([time.time(), LONGEST_ANSWER * 1000, 0, f"no answer after {LONGEST_ANSWER:g} s"])
    return sorted((row for one in made for row in one.rows), key=lambda row: row[0])


def as_bytes(path: str, body: bytes) -> bytes:
    """A whole request."""
    head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


def main() -> None:
    """Read the requests, load the service, print the rows."""
    port, path, file, clients, pause, seconds = sys.argv[1:]
    requests = [as_bytes(path, json.dumps(body).encode()) for body in json.loads(Path(file).read_text())]
    with asyncio.Runner(loop_factory=auto_loop_factory()) as loop:  # uvloop, where it is installed
        json.dump(loop.run(load(int(port), requests, int(clients), float(pause), float(seconds))), sys.stdout)


if __name__ == "__main__":
    main()
