"""Clients that send requests without pause, and keep the answers."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx


@dataclass
class Load:
    """What clients in threads saw: the JSON of each answer, errors, and the seconds of each request."""

    answers: list[dict[str, Any]] = field(default_factory=list)
    failures: list[Any] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


@contextmanager
def load(address: str, requests: list[dict[str, Any]], clients: int = 4, pause: float = 0.0) -> Iterator[Load]:
    """Send requests while the block runs; each client rests for `pause` seconds after an answer."""
    seen, stop = Load(), threading.Event()

    def ask(first: int) -> None:
        with httpx.Client(base_url=address, timeout=20) as http:
            number = first
            while not stop.is_set():
                begun = time.perf_counter()
                try:
                    answer = http.post("/predict", json=requests[number % len(requests)])
                except httpx.HTTPError as error:
                    seen.failures.append(error)
                    continue
                seen.seconds.append(time.perf_counter() - begun)
                (seen.answers if answer.status_code == 200 else seen.failures).append(answer.json())
                number += clients
                time.sleep(pause)

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        stop.set()
        for thread in threads:
            thread.join()
