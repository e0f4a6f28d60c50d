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

Row = list[Any]


async def client(port: int, requests: "cycle[bytes]", pause: float, over: asyncio.Event, rows: list[Row]) -> None:
    """One request after the other until the load is over, on a connection that is kept while the service does."""
    connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
    while not over.is_set():
        wait, begun = pause, time.perf_counter()
        try:
            if connection is None or connection[0].at_eof():
                connection = await asyncio.open_connection("127.0.0.1", port)
            reader, writer = connection
            writer.write(next(requests))
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
            status, answer = int(head[9:12]), _version(await reader.readexactly(length))
            if b"\r\nconnection: close" in head:
                writer.close()
                connection = None
        except (OSError, asyncio.IncompleteReadError) as error:
            closed = isinstance(error, asyncio.IncompleteReadError)
            status, answer = 0, "the connection was closed before the answer was complete" if closed else repr(error)
            wait, connection = max(pause, RETRY_AFTER), None
        rows.append([time.time(), (time.perf_counter() - begun) * 1000, status, answer])
        if wait:
            await asyncio.sleep(wait)
    if connection:
        connection[1].close()


def _version(body: bytes) -> Any:
    """The last value named "version" of an answer, or nothing: to parse all of the JSON would take longer."""
    _, found, rest = body.rpartition(b'"version":')
    return json.loads(rest.partition(b",")[0].partition(b"}")[0]) if found else ""


async def load(port: int, requests: list[bytes], clients: int, pause: float, seconds: float) -> list[Row]:
    """Load a port of this machine for `seconds` at most, or until standard input closes; returns all rows."""
    loop, over = asyncio.get_running_loop(), asyncio.Event()

    def wait_for_close() -> None:
        os.read(0, 1)
        loop.call_soon_threadsafe(over.set)

    threading.Thread(target=wait_for_close, daemon=True).start()
    loop.call_later(seconds, over.set)
    shared, rows = cycle(requests), list[Row]()
    running = [asyncio.create_task(client(port, shared, pause, over, rows)) for _ in range(clients)]
    await over.wait()
    ended, unanswered = await asyncio.wait(running, timeout=LONGEST_ANSWER)
    for one in ended:
        one.result()  # raises what no client expects
    rows += [[time.time(), LONGEST_ANSWER * 1000, 0, f"no answer after {LONGEST_ANSWER:g} s"] for _ in unanswered]
    return rows


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
