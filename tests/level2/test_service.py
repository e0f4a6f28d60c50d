"""The service, as a process of its own on loopback."""

import asyncio
import json
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest

from level2_devops import load, predict
from level2_devops.request import EXAMPLE
from tests.level2.conftest import Service, Starter, as_request

JSON = {"content-type": "application/json"}


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in EXAMPLE.items() if key != name}


def test_it_answers_what_the_model_predicts(service: Service, small_model: Path, later: pd.DataFrame) -> None:
    model, _ = load(small_model)
    some = later.sample(50, random_state=3)
    flights = [as_request(flight) for _, flight in some.iterrows()]
    answers = service.client.post("/predict/batch", json={"flights": flights}).json()
    assert [answer["probability"] for answer in answers["predictions"]] == list(predict(model, some))
    single = service.client.post("/predict", json=flights[0], headers={"x-request-id": "golden-1"})
    assert single.json() == {**answers["predictions"][0], "version": "1.2.3", "request_id": "golden-1"}
    assert single.headers["x-request-id"] == "golden-1"


@pytest.mark.parametrize("name", ["carrier", "origin", "dest"])
def test_an_unknown_code_is_answered_by_the_base_rate_and_counted(
    service: Service, small_model: Path, name: str
) -> None:
    before = service.metric(f'fallbacks_total{{unknown="{name}"}}')
    code = "ZZ" if name == "carrier" else "ZZZ"
    answer = service.client.post("/predict", json={**EXAMPLE, name: code})
    assert answer.status_code == 200
    assert answer.json()["fallback"] is True
    assert answer.json()["unknown"] == [name]
    assert answer.json()["probability"] == load(small_model)[1].base_rate
    assert service.metric(f'fallbacks_total{{unknown="{name}"}}') == before + 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({**EXAMPLE, "temp": 400}, "temp"),
        ({**EXAMPLE, "distance": "12"}, "distance"),
        ({**EXAMPLE, "temp": True}, "temp"),
        ({**EXAMPLE, "origin": "jfk"}, "origin"),
        ({**EXAMPLE, "dest": 7}, "dest"),
        ({**EXAMPLE, "scheduled_departure": 1364851800}, "scheduled_departure"),
        ({**EXAMPLE, "scheduled_departure": "2013-04-01T17:30:00"}, "scheduled_departure"),
        ({**EXAMPLE, "scheduled_departure": "0001-01-01T00:00:00+00:00"}, "scheduled_departure"),
        ({**EXAMPLE, "arrival_delay": 3}, "arrival_delay"),
        (without("carrier"), "carrier"),
    ],
)
def test_a_wrong_field_is_named(service: Service, body: dict[str, Any], field: str) -> None:
    answer = service.client.post("/predict", json=body)
    assert answer.status_code == 422
    assert [problem["field"] for problem in answer.json()["detail"]] == [field]
    in_batch = service.client.post("/predict/batch", json={"flights": [EXAMPLE, body]})
    assert in_batch.status_code == 422
    assert [problem["field"] for problem in in_batch.json()["detail"]] == [f"flights.1.{field}"]


def test_an_arrival_before_the_departure_is_refused(service: Service) -> None:
    answer = service.client.post("/predict", json={**EXAMPLE, "scheduled_arrival": EXAMPLE["scheduled_departure"]})
    assert answer.status_code == 422
    assert "later than scheduled_departure" in answer.json()["detail"][0]["problem"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (json.dumps(EXAMPLE).replace("51.8", "NaN"), "NaN"),
        (json.dumps(EXAMPLE).replace("51.8", "-Infinity"), "-Infinity"),
        (json.dumps(EXAMPLE).replace("51.8", "1e999"), "temp"),
        (json.dumps(EXAMPLE)[:-1] + ', "temp": 3}', "temp"),
        ("[" * 100_000, "nested"),
        ("{", "not JSON"),
        ("\xff", "not JSON"),
        ("null", "body"),
        ('{"\\ud800": 1}', "ud800"),
    ],
)
def test_what_json_does_not_know_is_refused(service: Service, text: str, said: str) -> None:
    answer = service.client.post("/predict", content=text.encode("latin-1"), headers=JSON)
    assert answer.status_code == 422
    assert said in answer.text


def test_a_large_body_is_refused_before_it_is_read(service: Service) -> None:
    sent = 0

    def chunks() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(50):
            sent += 1_000_000
            yield b" " * 1_000_000

    for content in (chunks(), b" " * 2_000_000):
        try:
            assert service.client.post("/predict", content=content, headers=JSON).status_code == 413
        except httpx.WriteError:
            continue  # refused while we were still sending
    assert service.client.post("/predict", json=EXAMPLE).status_code == 200


def test_metrics_count_requests_by_route_and_status(service: Service) -> None:
    line = 'http_requests_total{{route="/predict",status="{}"}}'
    before = {status: service.metric(line.format(status)) for status in (200, 422)}
    for _ in range(3):
        service.client.post("/predict", json=EXAMPLE)
    service.client.post("/predict", json={})
    assert service.metric(line.format(200)) == before[200] + 3
    assert service.metric(line.format(422)) == before[422] + 1
    assert service.metric('release{version="1.2.3"}') == 1


def test_the_openapi_page_shows_ranges_units_and_an_example(service: Service) -> None:
    flight = service.client.get("/openapi.json").json()["components"]["schemas"]["Flight"]
    temperature = next(kind for kind in flight["properties"]["temp"]["anyOf"] if kind["type"] == "number")
    assert (temperature["minimum"], temperature["maximum"], temperature["description"]) == (-40, 115, "°F")
    assert service.client.post("/predict", json=flight["examples"][0]).status_code == 200


@pytest.mark.slow
def test_without_a_model_it_lives_and_says_why_it_is_not_ready(start_service: Starter, tmp_path: Path) -> None:
    service = start_service(tmp_path / "nothing")
    assert service.told["event"] == "not ready"
    assert service.client.get("/live").status_code == 200
    for answer in (service.client.get("/ready"), service.client.post("/predict", json=EXAMPLE)):
        assert answer.status_code == 503
        assert "nothing" in answer.json()["detail"]


@pytest.mark.slow
@pytest.mark.slow
def test_sigterm_under_load_fails_readiness_first_and_loses_no_request(
    start_service: Starter, small_model: Path
) -> None:
    service = start_service(small_model)
    answers: list[int] = []
    closed = threading.Event()

    def ask_until_told_to_close() -> None:
        with httpx.Client(base_url=service.told["address"], timeout=20) as client:
            while not closed.is_set():
                answer = client.post("/predict", json=EXAMPLE)
                answers.append(answer.status_code)
                if answer.headers.get("connection") == "close":
                    return

    askers = [threading.Thread(target=ask_until_told_to_close) for _ in range(4)]
    for asker in askers:
        asker.start()
    while len(answers) < 12:
        time.sleep(0.05)
    service.client.get("/live")
    service.process.send_signal(signal.SIGTERM)
    ready = service.client.get("/ready")
    while ready.status_code == 200:
        ready = service.client.get("/ready")
    assert ready.status_code == 503
    assert "draining" in ready.json()["detail"]
    for asker in askers:
        asker.join(timeout=20)
    assert set(answers) == {200}
    assert service.process.wait(timeout=20) == 0


@pytest.mark.slow
def test_a_client_that_stalls_does_not_hold_up_others(service: Service) -> None:
    host, port = service.told["address"].removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as slow:
        slow.sendall(
            b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{"
        )
        assert service.client.post("/predict", json=EXAMPLE).status_code == 200
        slow.settimeout(20)
        assert b" 408 " in slow.recv(1000)


@pytest.mark.slow
def test_more_than_it_can_answer_is_shed_with_retry_after(start_service: Starter, small_model: Path) -> None:
    service = start_service(small_model)
    body = json.dumps({"flights": [EXAMPLE] * 500}).encode()

    async def ask_at_once(times: int) -> list[httpx.Response]:
        limits = httpx.Limits(max_connections=times)
        async with httpx.AsyncClient(base_url=service.told["address"], timeout=60, limits=limits) as client:
            return await asyncio.gather(
                *(client.post("/predict/batch", content=body, headers=JSON) for _ in range(times))
            )

    found = asyncio.run(ask_at_once(200))
    assert {answer.status_code for answer in found} == {200, 503}
    shed = [answer for answer in found if answer.status_code == 503]
    assert all(answer.headers["retry-after"] == "1" for answer in shed)
    assert service.client.get("/ready").status_code == 200
