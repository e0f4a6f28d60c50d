"""The live stream over HTTP: each tick's flights are asked for, then the outcomes that became known are sent."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pandas as pd

from level2_devops.service.requests import flights_as_requests
from level4_deployment.control.client import PlatformClient
from shared.data.replay import Tick

AT_ONCE = 200  # flights a request


@dataclass
class ReplayStats:
    """What the stream's side saw. failed: requests without an answer of 200; verdicts: as the platform told them."""

    requests: int = 0
    failed: int = 0
    flights: int = 0
    labels: int = 0
    by_version: dict[int, int] = field(default_factory=dict)
    verdicts: list[dict[str, Any]] = field(default_factory=list)
    last_request: str = ""

    def __str__(self) -> str:
        """One line of evidence."""
        return f"{self.failed} of {self.requests:,} requests for {self.flights:,} flights failed"

    def __add__(self, later: "ReplayStats") -> "ReplayStats":
        """Both, one after the other."""
        by_version = Counter(self.by_version) + Counter(later.by_version)
        return ReplayStats(
            self.requests + later.requests,
            self.failed + later.failed,
            self.flights + later.flights,
            self.labels + later.labels,
            dict(by_version),
            self.verdicts + later.verdicts,
            later.last_request,
        )


def replay_over_http(
    ticks: Iterable[Tick], service: str, feed: PlatformClient, tell: Callable[[Tick, ReplayStats], None]
) -> ReplayStats:
    """Play the ticks in order, telling after each; a refused outcome stops the stream, a failed answer is counted."""
    played = ReplayStats()
    with httpx.Client(base_url=service, timeout=30, trust_env=False) as http:
        for tick in ticks:
            ask(http, tick.flights, played)
            told = feed.post("/labels", labels=as_labels(tick.labels), watermark=tick.end.timestamp())
            played.labels += told["new"]
            if told["verdict"]:
                played.verdicts.append(told["verdict"])
            tell(tick, played)
    return played


def ask(http: httpx.Client, flights: pd.DataFrame, played: ReplayStats) -> None:
    """Ask for the flights, some at once."""
    bodies = as_requests(flights)
    for start in range(0, len(bodies), AT_ONCE):
        played.requests += 1
        try:
            answer = http.post("/predict/batch", json={"flights": bodies[start : start + AT_ONCE]})
            answer.raise_for_status()
        except httpx.HTTPError:
            played.failed += 1
            continue
        for one in answer.json()["predictions"]:
            played.flights += 1
            played.by_version[one["version"]] = played.by_version.get(one["version"], 0) + 1
            played.last_request = one["request_id"]


def as_requests(flights: pd.DataFrame) -> list[dict[str, Any]]:
    """What a client would send: times with their offset, missing numbers left out."""
    return flights_as_requests(flights, with_id=True)


def as_labels(labels: pd.DataFrame) -> list[dict[str, Any]]:
    """What the feed of landings would send."""
    rows = zip(*(labels[name].tolist() for name in ("flight_id", "late", "label_known_at")), strict=True)
    return [{"flight_id": flight, "late": int(late), "known_at": at.timestamp()} for flight, late, at in rows]
