"""Which requests the service accepts and which it refuses."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import psutil
import pytest

from level2_devops.service.limits import MAX_IN_FLIGHT
from level2_devops.service.requests import EXAMPLE, MAX_FLIGHTS, flights_as_requests
from shared.data.schema import KNOWN_BEFORE
from tests.level2.running_service import Service, connect

JSON = {"content-type": "application/json"}
TEXT = json.dumps(EXAMPLE)
HEAD = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n"


def test_flights_become_requests_without_what_is_missing(flights: pd.DataFrame) -> None:
    some = flights.sample(200, random_state=3)
    assert some["wind_gust"].isna().any()
    for with_id, names in ((False, [*KNOWN_BEFORE]), (True, ["flight_id", *KNOWN_BEFORE])):
        for made, (_, flight) in zip(flights_as_requests(some, with_id=with_id), some.iterrows(), strict=True):
            known = flight[names].dropna()
            assert list(made) == list(known.index)
            for name, value in known.items():
                sent = made[str(name)]
                assert (pd.Timestamp(sent) if isinstance(value, pd.Timestamp) else sent) == value


Connect = Callable[[], socket.socket]


@pytest.fixture
def open_connection(service: Service) -> Iterator[Connect]:
    """Open a connection to the service; all are closed at the end."""
    with ExitStack() as opened:
        yield lambda: opened.enter_context(connect(service.address))


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in EXAMPLE.items() if key != name}


def post(service: Service, text: str, route: str = "/predict") -> httpx.Response:
    return service.client.post(route, content=text.encode("latin-1"), headers=JSON)


def fields(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 422, answer.text
    return [problem["field"] for problem in answer.json()["detail"]]


def memory(service: Service) -> int:
    return psutil.Process(service.process.pid).memory_info().rss


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({**EXAMPLE, "temp": 400}, "temp"),
        ({**EXAMPLE, "distance": "12"}, "distance"),
        ({**EXAMPLE, "temp": True}, "temp"),
        ({**EXAMPLE, "origin": "jfk"}, "origin"),
        ({**EXAMPLE, "dest": 7}, "dest"),
        ({**EXAMPLE, "scheduled_departure": 1364851800}, "scheduled_departure"),
        ({**EXAMPLE, "scheduled_departure": "1364851800"}, "scheduled_departure"),
        ({**EXAMPLE, "scheduled_departure": "2013-04-01T17:30:00"}, "scheduled_departure"),
        ({**EXAMPLE, "scheduled_departure": "0001-01-01T00:00:00+00:00"}, "scheduled_departure"),
        ({**EXAMPLE, "arrival_delay": 3}, "arrival_delay"),
        (without("carrier"), "carrier"),
    ],
)
def test_a_wrong_field_is_named(service: Service, body: dict[str, Any], field: str) -> None:
    assert fields(service.client.post("/predict", json=body)) == [field]
    in_batch = service.client.post("/predict/batch", json={"flights": [EXAMPLE, body]})
    assert fields(in_batch) == [f"flights.1.{field}"]


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999", "9" * 4000])
def test_numbers_that_are_not_finite_are_refused_by_field(service: Service, number: str) -> None:
    text = TEXT.replace("51.8", number)
    assert fields(post(service, text)) == ["temp"]
    assert fields(post(service, f'{{"flights": [{TEXT}, {text}]}}', "/predict/batch")) == ["flights.1.temp"]


@pytest.mark.parametrize("name", ["temp", r"\ud800"])
def test_a_duplicate_key_is_named_even_one_that_utf8_cannot_hold(service: Service, name: str) -> None:
    answer = post(service, f'{TEXT[:-1]}, "{name}": 3, "{name}": 4}}')
    assert fields(answer) == [name]
    assert "twice" in answer.json()["detail"][0]["problem"]


def test_an_arrival_before_the_departure_is_refused(service: Service) -> None:
    answer = service.client.post("/predict", json={**EXAMPLE, "scheduled_arrival": EXAMPLE["scheduled_departure"]})
    assert answer.status_code == 422
    assert "later than scheduled_departure" in answer.json()["detail"][0]["problem"]


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("[" * 100_000, "nested too deeply"),
        ('{"temp":' * 100_000 + "1" + "}" * 100_000, "nested too deeply"),
        ("{", "not JSON"),
        ("\xff", "not JSON"),
        (TEXT.replace("51.8", "9" * 5000), "not JSON"),
    ],
)
def test_unreadable_json_is_a_bad_request(service: Service, text: str, detail: str) -> None:
    answer = post(service, text)
    assert answer.status_code == 400
    assert detail in answer.json()["detail"]


@pytest.mark.parametrize("text", ["null", "[]", '"x"', ""])
def test_json_that_is_no_flight_is_refused_as_a_whole(service: Service, text: str) -> None:
    assert fields(post(service, text)) == ["body"]


def test_a_batch_holds_one_to_a_thousand_flights(service: Service) -> None:
    for flights in ([], [EXAMPLE] * (MAX_FLIGHTS + 1)):
        assert fields(service.client.post("/predict/batch", json={"flights": flights})) == ["flights"]
    full = service.client.post("/predict/batch", json={"flights": [EXAMPLE] * MAX_FLIGHTS})
    assert len(full.json()["predictions"]) == MAX_FLIGHTS


NAMES = json.dumps({f"n{number}": 1 for number in range(60_000)})
EMPTY = json.dumps({"flights": [{}] * MAX_FLIGHTS})
LONG = json.dumps({"k" * 900_000: 1})


@pytest.mark.parametrize(("route", "text"), [("/predict", NAMES), ("/predict/batch", EMPTY), ("/predict", LONG)])
def test_a_body_wrong_in_many_places_gets_a_short_answer(service: Service, route: str, text: str) -> None:
    answer = post(service, text, route)
    assert answer.status_code == 422
    assert len(answer.content) < 5_000


def test_a_large_body_is_refused_before_it_is_read(service: Service) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(50):
            yield b" " * 1_000_000

    refused = 'http_requests_total{route="/predict",status="413"}'
    counted, held = service.metric(refused), memory(service)
    for content in (chunks(), b" " * 50_000_000):
        try:
            assert service.client.post("/predict", content=content, headers=JSON).status_code == 413
        except httpx.WriteError:
            continue  # refused while we were still sending
    assert memory(service) < held + 20_000_000
    assert service.metric(refused) == counted + 2
    assert service.client.post("/predict", json=EXAMPLE).status_code == 200


CHUNKED = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("head", "more"),
    [
        (b"GET /live HTTP/1.1\r\nX-Long: ", b"a"),
        (b"GET /live HTTP/1.1\r\n", b"X-Short: a\r\n"),
        (CHUNKED + b"0\r\n", b"X-Trailer: a\r\n"),
        (CHUNKED + b"0\r\nX-Trailer: ", b"a"),
        (CHUNKED + b"1;extension=", b"a"),
    ],
)
def test_an_endless_head_or_trailer_is_refused(
    service: Service, open_connection: Connect, head: bytes, more: bytes
) -> None:
    held = memory(service)
    with pytest.raises(ConnectionError):
        open_connection().sendall(head + more * (50_000_000 // len(more)))
    assert memory(service) < held + 20_000_000


def test_each_request_on_a_connection_has_a_limit_of_its_own(service: Service) -> None:
    for _ in range(4):  # more than a megabyte together, in chunks
        body = (part for part in [TEXT[:-1].encode(), b" " * 500_000, b"}"])
        assert service.client.post("/predict", content=body, headers=JSON).status_code == 200


def test_clients_that_stall_do_not_block_others(service: Service, open_connection: Connect) -> None:
    for _ in range(MAX_IN_FLIGHT + 4):
        open_connection().sendall(HEAD + b"{")
    assert service.client.post("/predict", json=EXAMPLE).status_code == 200


@pytest.mark.slow
def test_clients_that_stall_are_disconnected(service: Service, open_connection: Connect) -> None:
    expected = {HEAD + b"{": b"HTTP/1.1 408", HEAD[:40]: b"", b"": b""}  # in the body, in the head, before it
    stalled = {sent: open_connection() for sent in expected}
    for sent, connection in stalled.items():
        connection.sendall(sent)
    assert {sent: connection.recv(12) for sent, connection in stalled.items()} == expected


@pytest.mark.slow
def test_no_request_that_follows_or_breaks_the_schema_gets_a_5xx(service: Service, tmp_path: Path) -> None:
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{service.ready['address']}/openapi.json"),
        *("--checks", "not_a_server_error,status_code_conformance,response_schema_conformance"),
        *("--max-examples", "40", "--seed", "2013", "--phases", "examples,coverage,fuzzing"),
    ]
    plain = {**os.environ, "NO_COLOR": "1"}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=plain, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
