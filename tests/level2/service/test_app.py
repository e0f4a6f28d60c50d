"""The service as a process of its own: answers, logs, metrics, readiness and a graceful stop."""

import asyncio
import hashlib
import json
import logging
import re
import shutil
import signal
import threading
from dataclasses import replace
from datetime import date
from pathlib import Path

import httpx
import pandas as pd
import pytest

from level2_devops.model import load, predict
from level2_devops.release.gates import golden_flights
from level2_devops.service import app
from level2_devops.service.requests import EXAMPLE, flights_as_requests
from shared.artefacts import MODEL_FILE
from shared.settings import read_settings
from tests.level2.running_service import Service, Starter
from tests.support import eventually

JSON = {"content-type": "application/json"}


def test_it_answers_what_the_model_predicts(service: Service, small_model: Path, later: pd.DataFrame) -> None:
    model, _ = load(small_model)
    some = later.sample(50, random_state=3)
    flights = flights_as_requests(some)
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


def test_the_smoke_test_expects_the_base_rate_for_codes_newer_than_the_model(
    service: Service, small_model: Path
) -> None:
    """A release in July with the model of April: some flights go to places that it has never seen."""
    july = replace(read_settings(), today=date(2013, 7, 22))
    flights, expected = golden_flights(small_model, july, 1000)
    answers = service.client.post("/predict/batch", json={"flights": flights}).json()["predictions"]
    assert [answer["probability"] for answer in answers] == list(expected)
    assert any(answer["fallback"] for answer in answers)
    assert not all(answer["fallback"] for answer in answers)


def test_each_request_is_logged_as_json_under_the_id_it_was_answered_with(service: Service) -> None:
    given = service.client.post("/predict", json=EXAMPLE, headers={"x-request-id": "from-the-client"})
    made = service.client.post("/predict", json={}, headers={"x-request-id": "not one, but\ttwo"})
    ids = [answer.headers["x-request-id"] for answer in (given, made)]
    assert ids == ["from-the-client", made.json()["request_id"]]

    def logged_requests() -> dict[str, dict[str, object]]:
        lines = [json.loads(line) for line in service.log.read_text().split("\n")[:-1]]
        return {line["request_id"]: line for line in lines if line["event"] == "request"}

    eventually(lambda: set(ids) <= set(logged_requests()))  # a line follows its answer
    logged = logged_requests()
    assert {"at", "level", "method", "ms"} <= set(logged[ids[0]])
    assert "color_message" not in service.log.read_text()
    assert [(logged[name]["route"], logged[name]["status"]) for name in ids] == [("/predict", 200), ("/predict", 422)]


def test_metrics_count_requests_by_route_and_status(service: Service, small_model: Path) -> None:
    line = 'http_requests_total{{route="/predict",status="{}"}}'
    before = {status: service.metric(line.format(status)) for status in (200, 422)}
    for _ in range(3):
        service.client.post("/predict", json=EXAMPLE)
    service.client.post("/predict", json={})
    assert service.metric(line.format(200)) == before[200] + 3
    assert service.metric(line.format(422)) == before[422] + 1
    digest = hashlib.sha256((small_model / MODEL_FILE).read_bytes()).hexdigest()
    assert service.metric(f'release{{model_sha256="{digest}",version="1.2.3"}}') == 1


def test_the_openapi_page_shows_ranges_units_and_an_example(service: Service) -> None:
    flight = service.client.get("/openapi.json").json()["components"]["schemas"]["Flight"]
    temperature = next(kind for kind in flight["properties"]["temp"]["anyOf"] if kind["type"] == "number")
    assert (temperature["minimum"], temperature["maximum"], temperature["description"]) == (-40, 115, "°F")
    assert service.client.post("/predict", json=flight["examples"][0]).status_code == 200


def test_its_pages_load_nothing_from_elsewhere(service: Service) -> None:
    for page in ("/", "/docs"):
        loaded = re.findall(r'(?:src|href)="([^"]+)"', service.client.get(page).text)
        assert loaded
        assert all(link.startswith("/") and service.client.get(link).status_code == 200 for link in loaded), loaded


def test_an_unexpected_error_is_answered_in_json_with_the_request_id_and_logged(
    small_model: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("an unexpected error")

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app.create_app(small_model, "1.2.3"), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            return await client.post("/predict", json=EXAMPLE, headers={"x-request-id": "broken-1"})

    monkeypatch.setattr(app, "predict", fail)
    with caplog.at_level(logging.INFO, "service"):
        answer = asyncio.run(ask())
    assert answer.status_code == 500
    assert answer.headers["x-request-id"] == "broken-1"
    assert answer.headers["connection"] == "close"
    assert set(answer.json()) == {"detail"}
    assert "an unexpected error" not in answer.text
    assert "an unexpected error" in caplog.text
    assert [record.status for record in caplog.records if record.message == "request"] == [500]  # type: ignore[attr-defined]


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_without_a_model_it_is_live_and_reports_why_it_is_not_ready(
    start_service: Starter, small_model: Path, tmp_path: Path, damage: str
) -> None:
    if damage == "cut":
        shutil.copytree(small_model, tmp_path / "model")
        (tmp_path / "model" / MODEL_FILE).write_bytes((small_model / MODEL_FILE).read_bytes()[:10_000])
    service = start_service(tmp_path / "model")
    assert service.ready["event"] == "not ready"
    assert service.client.get("/live").status_code == 200
    for answer in (service.client.get("/ready"), service.client.post("/predict", json=EXAMPLE)):
        assert answer.status_code == 503
        assert str(tmp_path / "model") in answer.json()["detail"]


@pytest.mark.slow
def test_sigterm_under_load_fails_readiness_first_and_loses_no_request(
    start_service: Starter, small_model: Path
) -> None:
    service = start_service(small_model)
    answers: list[int] = []

    def ask_until_told_to_close() -> None:
        with httpx.Client(base_url=service.address, timeout=20) as client:
            while True:
                answer = client.post("/predict", json=EXAMPLE)
                answers.append(answer.status_code)
                if answer.headers.get("connection") == "close":
                    return

    askers = [threading.Thread(target=ask_until_told_to_close) for _ in range(4)]
    for asker in askers:
        asker.start()
    eventually(lambda: len(answers) >= 12, 30)
    service.client.get("/live")
    service.process.send_signal(signal.SIGTERM)

    def refusal() -> httpx.Response | None:
        ready = service.client.get("/ready")
        return None if ready.status_code == 200 else ready

    ready = eventually(refusal)
    assert ready.status_code == 503
    assert "draining" in ready.json()["detail"]
    for asker in askers:
        asker.join(timeout=20)
    assert set(answers) == {200}
    assert service.process.wait(timeout=20) == 0


@pytest.mark.slow
def test_too_many_requests_at_once_get_503_with_retry_after(start_service: Starter, small_model: Path) -> None:
    service = start_service(small_model)
    body = json.dumps({"flights": [EXAMPLE] * 500}).encode()

    async def ask_at_once(times: int) -> list[httpx.Response]:
        limits = httpx.Limits(max_connections=times)
        async with httpx.AsyncClient(base_url=service.address, timeout=60, limits=limits) as client:
            return await asyncio.gather(
                *(client.post("/predict/batch", content=body, headers=JSON) for _ in range(times))
            )

    found = asyncio.run(ask_at_once(200))
    assert {answer.status_code for answer in found} == {200, 503}
    shed = [answer for answer in found if answer.status_code == 503]
    assert all(answer.headers["retry-after"] == "1" for answer in shed)
    assert service.client.get("/ready").status_code == 200
