"""The process that loads a service: a few clients that each send a request, wait for its answer, and send the next.

It is started as a file, so that it imports nothing but httpx and is no burden to what it measures:
`python -P client.py ADDRESS REQUESTS.json CLIENTS PAUSE SECONDS`. It ends after SECONDS, or when its input closes, and
prints one JSON list: [time of the answer (Unix), milliseconds, status or 0, version or the error] for each request.
"""

import asyncio
import json
import os
import sys
import threading
import time
from itertools import count
from pathlib import Path
from typing import Any

import httpx


async def load(address: str, bodies: list[bytes], clients: int, pause: float, seconds: float) -> list[list[Any]]:
    """Load `address` until the input closes, for `seconds` at the most; returns a row for each request."""
    closed = asyncio.Event()
    loop = asyncio.get_running_loop()
    threading.Thread(target=lambda: (os.read(0, 1), loop.call_soon_threadsafe(closed.set)), daemon=True).start()
    rows: list[list[Any]] = []
    numbers = count()
    end = time.monotonic() + seconds
    limits = httpx.Limits(max_connections=clients, max_keepalive_connections=clients)
    async with httpx.AsyncClient(base_url=address, limits=limits, timeout=30, trust_env=False) as http:

        async def one_client() -> None:
            while not closed.is_set() and time.monotonic() < end:
                begun = time.perf_counter()
                try:
                    body = bodies[next(numbers) % len(bodies)]
                    answer = await http.post("/predict", content=body, headers={"content-type": "application/json"})
                    status, said = answer.status_code, answer.json().get("version", "")
                except (httpx.HTTPError, ValueError) as error:
                    status, said = 0, repr(error)
                rows.append([time.time(), (time.perf_counter() - begun) * 1000, status, said])
                await asyncio.sleep(pause)

        await asyncio.gather(*(one_client() for _ in range(clients)))
    return rows


if __name__ == "__main__":
    address, requests, clients, pause, seconds = sys.argv[1:]
    bodies = [json.dumps(body).encode() for body in json.loads(Path(requests).read_text())]
    json.dump(asyncio.run(load(address, bodies, int(clients), float(pause), float(seconds))), sys.stdout)
