"""`python -m level2_devops.load_generator`: load the running service, and read its own figures from /metrics."""

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

from prometheus_client.parser import text_string_to_metric_families

from level2_devops.release.golden import as_requests
from level2_devops.release.service_status import read_service_status
from level2_devops.release.store import Store
from level2_devops.service.worker_process import clean_environment
from shared.console import console, step
from shared.data.flights import load_flights
from shared.data.split import future
from shared.errors import UserError, command
from shared.settings import read_settings

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
        """The requests that got no answer, or another than 200."""
        return [row for row in self.rows if row[2] != 200]


@contextmanager
def traffic(address: str, requests: list[Request], pause: float = 0.0, clients: int = CLIENTS) -> Iterator[Traffic]:
    """Load `address` (loopback only) while the block runs, from a process of its own; then the rows are there.

    pause: seconds that each client rests after an answer.
    """
    if not address.startswith(("http://127.0.0.1:", "http://localhost:")):
        raise UserError(f"{address} is not this machine's own. Remedy: load only what listens on 127.0.0.1.")
    seen = Traffic()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "requests.json"
        file.write_text(json.dumps(requests))
        script = Path(__file__).with_name("load_client.py")
        process = subprocess.Popen(
            [sys.executable, "-P", str(script), address, str(file), str(clients), str(pause), str(LONGEST)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=clean_environment(),
        )
        try:
            yield seen
        finally:
            told, _ = process.communicate()  # closes its input, which ends it
    if process.returncode:
        raise RuntimeError(f"the load ended with status {process.returncode}")
    seen.rows += json.loads(told)


@dataclass(frozen=True)
class Figures:
    """What a service counted between two looks at its /metrics.

    quantiles in seconds, interpolated within the histogram's buckets as Prometheus does.
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
        """One line for people."""
        times = f"p50 {self.p50 * 1000:.0f} ms, p99 {self.p99 * 1000:.0f} ms"
        return f"{self.rate:.0f} requests/s, {times}, {self.errors:.0f} errors in {self.requests:,.0f} requests"


@dataclass(frozen=True)
class Scrape:
    """One look at /metrics. count: requests by status. below: requests by the upper bound of their bucket."""

    at: float
    count: dict[str, float]
    below: dict[float, float]


def scrape(address: str) -> Scrape:
    """Read the counters of ROUTE from one worker's /metrics; only while a single worker serves is it all there is."""
    with urllib.request.urlopen(address + "/metrics", timeout=10) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    samples = [sample for family in families for sample in family.samples if sample.labels.get("route") == ROUTE]
    return Scrape(
        time.monotonic(),
        {s.labels["status"]: s.value for s in samples if s.name == "http_requests_total"},
        {float(s.labels["le"]): s.value for s in samples if s.name == "http_request_seconds_bucket"},
    )


def between(first: Scrape, last: Scrape) -> Figures:
    """The figures of the time between two looks at the same worker."""
    count = {status: value - first.count.get(status, 0) for status, value in last.count.items()}
    below = {bound: value - first.below.get(bound, 0) for bound, value in last.below.items()}
    errors = sum(value for status, value in count.items() if status.startswith("5"))
    p50, p99 = quantile(below, 0.5), quantile(below, 0.99)
    return Figures(sum(count.values()), errors, last.at - first.at, p50, p99)


def quantile(below: dict[float, float], share: float) -> float:
    """The value that `share` of the observations do not exceed, from cumulative counts by upper bound.

    Within a bucket they count as evenly spread; beyond the last finite bound the answer is that bound.

    >>> quantile({1.0: 50, 2.0: 100, float("inf"): 100}, 0.75)
    1.5
    """
    bounds = sorted(below)
    wanted = share * below[bounds[-1]]
    if not wanted:
        return float("nan")  # nothing was observed
    low, under = 0.0, 0.0
    for bound in bounds[:-1]:
        if below[bound] >= wanted > under:
            return low + (bound - low) * (wanted - under) / (below[bound] - under)
        low, under = bound, below[bound]
    return low


def measure(address: str, seconds: float) -> Figures:
    """What a service that is under load says of itself in the next `seconds`; raises UserError when no load comes."""
    before = first = scrape(address)
    until = time.monotonic() + STARTED_WITHIN
    while sum(first.count.values()) < sum(before.count.values()) + CLIENTS:  # the clients start
        if time.monotonic() > until:
            raise UserError(f"no load reached {address} within {STARTED_WITHIN:g} s. Remedy: see what its clients say.")
        time.sleep(0.05)
        first = scrape(address)
    time.sleep(seconds)
    return between(first, scrape(address))


def main() -> None:
    """Load the running service for five seconds with the flights that came after today."""
    settings = read_settings()
    serving = read_service_status(Store(settings.level("level2")))
    if serving is None:
        raise UserError("no service runs here. Remedy: make serve, in another terminal.")
    with step("Prepare the requests"):
        requests = as_requests(future(load_flights(settings), settings.now).head(2000))
    with step(f"Load {serving.address} for 5 s with {CLIENTS} clients"), traffic(serving.address, requests) as seen:
        figures = measure(serving.address, 5.0)
    console.print(f"/metrics: {figures}\nthe clients: {len(seen.failed)} of {len(seen.rows):,} requests failed")


if __name__ == "__main__":
    command(main)
