"""Load a running service from another process, and read what it reports about itself in /metrics."""

import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from level2_devops.service.worker_process import release_environment
from shared.errors import UserError
from shared.waiting import wait_until

Request = dict[str, Any]  # the JSON of a request
CLIENTS, LONGEST = 4, 300.0  # seconds
STARTED_WITHIN = 30.0  # seconds, for the clients' process
ROUTE = "/predict"


@dataclass
class Traffic:
    """What the clients saw: [time of the answer (Unix), ms, status or 0, version or error] for each request."""

    rows: list[list[Any]] = field(default_factory=list)

    @property
    def failed(self) -> list[list[Any]]:
        """The requests without an answer of status 200."""
        return [row for row in self.rows if row[2] != 200]


@contextmanager
def traffic(address: str, requests: list[Request], pause: float = 0.0, clients: int = CLIENTS) -> Iterator[Traffic]:
    """Load the port of `address`, on this machine, from another process while the block runs; then the rows are there.

    pause: seconds that each client rests after an answer.
    """
    seen = Traffic()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "requests.json"
        file.write_text(json.dumps(requests))
        port = int(address.rpartition(":")[2])
        process = subprocess.Popen(
            client_command(port, ROUTE, file, clients, pause, LONGEST),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=release_environment(),
        )
        try:
            yield seen
        finally:
            output, _ = process.communicate()  # closes its input, which ends it
    if process.returncode:
        raise RuntimeError(f"the load ended with status {process.returncode}")
    seen.rows += json.loads(output)


def client_command(*words: object) -> list[str]:
    """The command that runs `load_client.py` with `words`: port, path, file of bodies, clients, pause, seconds."""
    script = Path(__file__).with_name("load_client.py")
    return [sys.executable, "-P", str(script), *map(str, words)]


@dataclass(frozen=True)
class Figures:
    """What a service counted between two scrapes of its /metrics.

    p50, p99: seconds, interpolated within the histogram's buckets.
    """

    requests: float
    errors: float
    seconds: float
    p50: float
    p99: float

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds

    def __str__(self) -> str:
        """One line of text."""
        times = f"p50 {self.p50 * 1000:.0f} ms, p99 {self.p99 * 1000:.0f} ms"
        return f"{self.rate:.0f} requests/s, {times}, {self.errors:.0f} errors in {self.requests:,.0f} requests"


@dataclass(frozen=True)
class Scrape:
    """One scrape of /metrics. count: requests by status. below: cumulative requests by upper bound of the bucket."""

    at: float
    count: dict[str, float]
    below: dict[float, float]


def scrape(address: str) -> Scrape:
    """Read the counters of ROUTE; each worker counts its own requests, so a single worker must be serving."""
    with urllib.request.urlopen(address + "/metrics", timeout=10) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    samples = [sample for family in families for sample in family.samples if sample.labels.get("route") == ROUTE]
    return Scrape(
        time.monotonic(),
        {s.labels["status"]: s.value for s in samples if s.name == "http_requests_total"},
        {float(s.labels["le"]): s.value for s in samples if s.name == "http_request_seconds_bucket"},
    )


def between(first: Scrape, last: Scrape) -> Figures:
    """The figures of the time between two scrapes of the same worker."""
    count = {status: value - first.count.get(status, 0) for status, value in last.count.items()}
    below = {bound: value - first.below.get(bound, 0) for bound, value in last.below.items()}
    errors = sum(value for status, value in count.items() if status.startswith("5"))
    p50, p99 = quantile(below, 0.5), quantile(below, 0.99)
    return Figures(sum(count.values()), errors, last.at - first.at, p50, p99)


def quantile(below: dict[float, float], share: float) -> float:
    """The value that `share` of the observations do not exceed, from cumulative counts by upper bound; NaN without any.

    Observations are taken as evenly spread within a bucket; beyond the last finite bound, that bound is returned.

    >>> quantile({1.0: 50, 2.0: 100, float("inf"): 100}, 0.75)
    1.5
    """
    *bounds, infinite = sorted(below)
    wanted = share * below[infinite]
    counts = [below[bound] for bound in bounds]
    return float(np.interp(wanted, [0, *counts], [0, *bounds])) if wanted else float("nan")


def measure(address: str, seconds: float) -> Figures:
    """What a service under load reports about the next `seconds`; raises UserError when no load comes."""
    before = sum(scrape(address).count.values())

    def loaded() -> Scrape | None:
        now = scrape(address)
        return now if sum(now.count.values()) >= before + CLIENTS else None

    try:
        first = wait_until(loaded, STARTED_WITHIN)
    except TimeoutError:
        raise UserError(f"no load reached {address} within {STARTED_WITHIN:g} s. Remedy: see its log.") from None
    time.sleep(seconds)
    return between(first, scrape(address))
