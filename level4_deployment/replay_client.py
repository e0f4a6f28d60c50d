"""A client of the platform that replays flights over HTTP.

For each hour it requests the predictions of that hour's flights, then sends the labels that became known in it.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pandas as pd

from level2_devops.service.requests import flights_as_requests
from level4_deployment.control.client import PlatformClient
from shared.data.replay import Tick

BATCH_SIZE = 200  # most flights of a request


@dataclass
class ReplayStats:
    """What the client saw. failed: requests without a status of 200; verdicts: as the platform returned them."""

    requests: int = 0
    failed: int = 0
    flights: int = 0
    labels: int = 0
    by_version: Counter[int] = field(default_factory=Counter)  # flights by the version that scored them
    verdicts: list[dict[str, Any]] = field(default_factory=list)
    last_request: str = ""

    def __str__(self) -> str:
        """One line of evidence."""
        return f"{self.failed} of {self.requests:,} requests for {self.flights:,} flights failed"

    def __add__(self, later: "ReplayStats") -> "ReplayStats":
        """The sum of two replays, the second one later."""
        return ReplayStats(
            self.requests + later.requests,
            self.failed + later.failed,
            self.flights + later.flights,
            self.labels + later.labels,
            self.by_version + later.by_version,
            self.verdicts + later.verdicts,
            later.last_request,
        )


def replay_over_http(
    ticks: Iterable[Tick], service: str, feed: PlatformClient, after_tick: Callable[[Tick, ReplayStats], None]
) -> ReplayStats:
    """Replay the ticks in order; `after_tick` is called after each.

    A failed prediction request is counted, and the replay goes on; a refused label raises RefusedError.
    """
    stats = ReplayStats()
    with httpx.Client(base_url=service, timeout=30) as http:
        for tick in ticks:
            ask(http, tick.flights, stats)
            response = feed.post("/labels", labels=as_labels(tick.labels), watermark=tick.end.timestamp())
            stats.labels += response["new"]
            if response["verdict"]:
                stats.verdicts.append(response["verdict"])
            after_tick(tick, stats)
    return stats


def ask(http: httpx.Client, flights: pd.DataFrame, stats: ReplayStats) -> None:
    """Request predictions, at most BATCH_SIZE flights at a time, and count the responses in `stats`.

    All requests have about as many flights: a service waits for a challenger as long as the flights of a request allow,
    so on a busy machine a small rest would go without its scores.
    """
    bodies = as_requests(flights)
    count = -(-len(bodies) // BATCH_SIZE)
    for i in range(count):
        part = bodies[len(bodies) * i // count : len(bodies) * (i + 1) // count]
        stats.requests += 1
        try:
            response = http.post("/predict/batch", json={"flights": part})
            response.raise_for_status()
        except httpx.HTTPError:
            stats.failed += 1
            continue
        predictions = response.json()["predictions"]
        stats.flights += len(predictions)
        stats.by_version.update(one["version"] for one in predictions)
        stats.last_request = predictions[-1]["request_id"]


def as_requests(flights: pd.DataFrame) -> list[dict[str, Any]]:
    """Flights as the JSON that clients of the platform send: with their flight_id."""
    return flights_as_requests(flights, with_id=True)


def as_labels(labels: pd.DataFrame) -> list[dict[str, Any]]:
    """Labels as the JSON that the feed of landings sends."""
    rows = zip(*(labels[name].tolist() for name in ("flight_id", "late", "label_known_at")), strict=True)
    return [{"flight_id": flight, "late": int(late), "known_at": at.timestamp()} for flight, late, at in rows]
