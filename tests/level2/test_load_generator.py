"""The load generator counts every failure, and its figures are the service's own."""

import math
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from level2_devops.load_generator import between, measure, quantile, scrape, traffic
from level2_devops.service.requests import EXAMPLE
from shared.errors import UserError
from tests.level2.running_service import Service
from tests.support import eventually

INFINITE = float("inf")


@pytest.mark.parametrize(
    ("below", "share", "value"),
    [
        ({1.0: 50, 2.0: 100, INFINITE: 100}, 0.75, 1.5),  # halfway through the second bucket
        ({1.0: 50, 2.0: 100, INFINITE: 100}, 0.5, 1.0),
        ({1.0: 100, 2.0: 100, INFINITE: 100}, 0.99, 0.99),
        ({1.0: 0, 2.0: 100, INFINITE: 100}, 0.25, 1.25),
        ({1.0: 90, 2.0: 95, INFINITE: 100}, 0.99, 2.0),  # beyond the last bound nothing is known but that
        ({1.0: 0, INFINITE: 0}, 0.5, math.nan),
    ],
)
def test_a_quantile_is_interpolated_within_its_bucket(below: dict[float, float], share: float, value: float) -> None:
    assert quantile(below, share) == pytest.approx(value, nan_ok=True)


def test_a_load_that_never_starts_raises_an_error(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(measure.__globals__, "STARTED_WITHIN", 0.2)
    with pytest.raises(UserError, match="no load reached"):
        measure(service.address, 1)


def test_the_figures_cover_the_requests_between_two_scrapes(service: Service) -> None:
    address = service.address
    service.client.post("/predict", json=EXAMPLE)
    first = scrape(address)
    answers = [service.client.post("/predict", json=EXAMPLE) for _ in range(7)]
    figures = between(first, scrape(address))
    slowest = max(answer.elapsed.total_seconds() for answer in answers)
    assert figures.requests == 7
    assert figures.errors == 0
    assert 0 < figures.p50 <= figures.p99 <= 3 * slowest  # bounds of the buckets lie up to a factor of 2.5 apart
    assert figures.rate == pytest.approx(7 / figures.seconds)


def test_the_load_sends_until_the_block_ends_and_sees_every_answer(service: Service) -> None:
    address = service.address
    first = scrape(address)
    with traffic(address, [EXAMPLE], clients=2) as seen:
        eventually(lambda: between(first, scrape(address)).requests >= 10, 30)
    assert len(seen.rows) == between(first, scrape(address)).requests
    assert seen.failed == []
    assert {row[3] for row in seen.rows} == {"1.2.3"}


class Failing(BaseHTTPRequestHandler):
    """Answers 500 to the first request, and hangs up on the second."""

    protocol_version = "HTTP/1.1"
    asked = 0

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        Failing.asked += 1
        if Failing.asked == 1:
            self.send_response(500)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"{}")
        else:
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def failing() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Failing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_errors_and_broken_connections_count_as_failed(failing: str) -> None:
    with traffic(failing, [EXAMPLE], clients=1) as seen:
        eventually(lambda: Failing.asked >= 3, 30)
    assert len(seen.failed) == len(seen.rows) >= 2
    assert seen.rows[0][2] == 500
    assert seen.rows[1][2] == 0
    assert seen.rows[1][3] == "the connection was closed before the answer was complete"
