"""What a caller of the data plane gets: answers, refusals that name the problem, and rows in the log."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest
from sklearn.pipeline import Pipeline

from level2_devops.model import predict
from level4_deployment.replay_client import as_requests
from level4_deployment.serving.package import Package
from tests.level4.plane import CARD, Plane, of_carrier, package, plane, route


@pytest.fixture(scope="module")
def serving(trained: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    """Version 7 is the champion, and version 8, the same files, its challenger in shadow."""
    home = tmp_path_factory.mktemp("platform")
    champion = package(home, 7, trained)
    route(home, 1, champion, Package(8, champion.files))
    with plane(home) as running:
        yield running


@pytest.fixture(scope="module")
def sent(flights: pd.DataFrame) -> dict[str, Any]:
    return as_requests(flights.iloc[[5_000]])[0]


def test_an_answer_is_the_models_and_names_its_version(
    serving: Plane, trained: Pipeline, flights: pd.DataFrame, sent: dict[str, Any]
) -> None:
    answer = serving.ask(sent)
    wanted = predict(trained, flights.iloc[[5_000]])[0]
    assert answer.pop("probability") == pytest.approx(wanted, abs=1e-6)
    assert len(answer.pop("request_id")) == 32
    assert answer == {"flight_id": sent["flight_id"], "fallback": False, "unknown": [], "version": 7}


def test_what_its_openapi_describes_is_what_it_answers(serving: Plane) -> None:
    document = serving.client.get("/openapi.json").json()
    example = document["components"]["schemas"]["NamedFlight"]["examples"][0]
    answer = document["components"]["schemas"]["NamedPrediction"]
    assert set(document["paths"]) == {"/predict", "/predict/batch"}
    assert set(serving.ask(example)) == set(answer["required"])


def test_unknown_codes_get_the_base_rate_marked(serving: Plane, sent: dict[str, Any]) -> None:
    answer = serving.ask(of_carrier(sent, "ZZ") | {"dest": "XXX"})
    assert (answer["probability"], answer["fallback"]) == (CARD.base_rate, True)
    assert answer["unknown"] == ["carrier", "dest"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"carrier": "UA"},
        {"origin": "LGA"},
        {"flight_id": "2013-12-31-UA544-EWR"},
        {"scheduled_departure": "2100-01-15T05:00:00-05:00", "scheduled_arrival": "2100-01-15T07:00:00-05:00"},
        {"scheduled_departure": "2013-01-15T05:00:00-05:00", "scheduled_arrival": "2013-01-15T07:00:00-05:00"},
    ],
)
def test_a_flight_that_contradicts_its_id_is_refused_and_not_logged(
    serving: Plane, sent: dict[str, Any], wrong: dict[str, str]
) -> None:
    before = serving.logged()
    for path, body in (("/predict", sent | wrong), ("/predict/batch", {"flights": [sent, sent | wrong]})):
        answer = serving.client.post(path, json=body)
        assert answer.status_code == 422, answer.text
        assert "contradicts" in answer.json()["detail"][0]["problem"]
    assert serving.logged() == before


def test_a_batch_is_answered_in_order_each_flight_with_an_id_of_its_own(
    serving: Plane, trained: Pipeline, flights: pd.DataFrame
) -> None:
    some = flights.iloc[:1_000]
    answer = serving.client.post("/predict/batch", json={"flights": as_requests(some)})
    found = answer.json()["predictions"]
    assert [one["flight_id"] for one in found] == some["flight_id"].tolist()
    wanted = predict(trained, some).tolist()
    known = [(one["probability"], chance) for one, chance in zip(found, wanted, strict=True) if not one["fallback"]]
    assert len(known) > 900
    assert all(abs(probability - chance) < 1e-6 for probability, chance in known)
    assert len({one["request_id"] for one in found}) == 1_000


WRONG: list[tuple[str, Any]] = [
    ("temp", 500),
    ("temp", "12"),
    ("temp", True),
    ("distance", None),
    ("carrier", "lower"),
    ("scheduled_departure", "2013-04-01T17:30:00"),
    ("scheduled_departure", 1364851800),
    ("flight_id", "flight 1"),
    ("flight_id", "2013-04-0١-B61-JFK"),  # noqa: RUF001 - an Arabic digit
    ("colour", "blue"),
]


@pytest.mark.parametrize(("field", "value"), WRONG)
def test_a_wrong_field_is_named(serving: Plane, sent: dict[str, Any], field: str, value: Any) -> None:
    one = serving.client.post("/predict", json=sent | {field: value})
    assert one.status_code == 422
    assert [problem["field"] for problem in one.json()["detail"]] == [field]
    assert one.json()["request_id"] == one.headers["x-request-id"]
    many = serving.client.post("/predict/batch", json={"flights": [sent, sent | {field: value}]})
    assert [problem["field"] for problem in many.json()["detail"]] == [f"flights.1.{field}"]


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e999", "-Infinity"])
def test_numbers_that_are_not_finite_are_refused_by_field(serving: Plane, sent: dict[str, Any], value: str) -> None:
    body = json.dumps(sent | {"temp": 1}).replace('"temp": 1', f'"temp": {value}')
    answer = serving.client.post("/predict", content=body)
    assert (answer.status_code, answer.json()["detail"][0]["field"]) == (422, "temp")


@pytest.mark.parametrize("name", ["dest", r"d\u0065st", "temp", "flight_id"])
def test_a_duplicate_key_is_refused(serving: Plane, sent: dict[str, Any], name: str) -> None:
    """Pydantic alone would take the last one; an escaped key is the same key."""
    value = '"BOS"' if "st" in name else '"2013-04-01-B61-JFK"' if "id" in name else "12.0"
    body = f'{json.dumps(sent)[:-1]}, "{name}": {value}}}'
    for path, whole in (("/predict", body), ("/predict/batch", f'{{"flights": [{body}]}}')):
        answer = serving.client.post(path, content=whole)
        assert answer.status_code == 422
        assert answer.json()["detail"][0]["problem"] == "is given twice"


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/predict", b"{", 400),
        ("/predict", b"\xff\xfe", 400),
        ("/predict", b"[" * 100_000, 400),
        ("/predict", b"[]", 422),
        ("/predict", b"", 400),
        ("/predict", b"x" * 2_000_000, 413),
        ("/predict/batch", b'{"flights": []}', 422),
        ("/predict/batch", b'{"flights": [], "flights": []}', 422),
        ("/nowhere", b"", 404),
    ],
)
def test_a_body_that_is_no_request_is_refused(serving: Plane, path: str, body: bytes, status: int) -> None:
    answer = serving.client.post(path, content=body)
    assert answer.status_code == status
    assert answer.json()["detail"]


def test_a_batch_has_a_limit_and_a_wrong_method_is_refused(serving: Plane, sent: dict[str, Any]) -> None:
    assert serving.client.post("/predict/batch", json={"flights": [sent] * 1_001}).status_code == 422
    assert serving.client.get("/predict").status_code == 405


def test_a_callers_request_id_is_returned_if_it_is_well_formed(serving: Plane, sent: dict[str, Any]) -> None:
    for given, kept in (("mine-1", True), ("a b", False), ("x" * 65, False)):
        answer = serving.client.post("/predict", json=sent, headers={"x-request-id": given})
        assert (answer.headers["x-request-id"] == given) is kept
        assert answer.json()["request_id"] != given


@pytest.mark.parametrize("padding", [0, 500_000])
def test_the_log_holds_everything_that_explains_an_answer_and_no_padding(
    serving: Plane, sent: dict[str, Any], padding: int
) -> None:
    answer = serving.client.post("/predict", content=json.dumps(sent) + " " * padding).json()
    query = f"SELECT * FROM predictions WHERE request_id = '{answer['request_id']}'"  # noqa: S608 - our own id
    (row,) = serving.rows(query)
    departs = pd.Timestamp(sent["scheduled_departure"]).timestamp()
    assert (row[1], row[2]) == (sent["flight_id"], departs)
    assert len(row[4]) < 2_000
    assert json.loads(row[4])["carrier"] == sent["carrier"]
    assert padding or json.loads(row[4]) == sent
    assert row[5:9] == ("experiment", "champion", 1.0, 7)
    assert (row[9], row[10]) == (answer["probability"], "")
    assert 0 < row[11] < 5


def test_readiness_lists_what_every_worker_serves(serving: Plane) -> None:
    ready = serving.ready()
    assert (ready["champion"]["version"], ready["challenger"]["version"]) == (7, 8)
    assert (ready["generation"], ready["experiment"], ready["share"], ready["refused"]) == (1, "experiment", 0, "")
    assert [one["pid"] for one in ready["workers"]] == [serving.workers[0].pid]
    assert serving.client.get("/live").json() == {"status": "live"}


def test_metrics_are_counted_by_version(serving: Plane, sent: dict[str, Any]) -> None:
    def count(line: str) -> float:
        text = serving.client.get("/metrics").text
        return sum(float(row.split()[-1]) for row in text.splitlines() if row.startswith(line))

    served, fell = 'predictions_total{version="7"}', 'fallbacks_total{version="7"}'
    before = count(served), count(fell)
    serving.ask(sent)
    serving.ask(of_carrier(sent, "ZZ"))
    assert (count(served) - before[0], count(fell) - before[1]) == (2, 1)
    assert count('scoring_seconds_count{version="8"}') > 0
    assert count("routes_generation") == 1
    assert count('http_requests_total{route="/predict",status="200"}') > 0
    assert count("prediction_log_commit_seconds_count") > 0


def test_without_routes_it_is_live_and_not_ready(tmp_path: Path, sent: dict[str, Any]) -> None:
    with plane(tmp_path) as running:
        assert running.client.get("/live").status_code == 200
        for answer in (running.client.get("/ready"), running.client.post("/predict", json=sent)):
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
            assert "nothing is routed" in answer.json()["detail"]


def test_too_many_requests_at_once_get_503(serving: Plane, sent: dict[str, Any]) -> None:
    async def crowd() -> list[httpx.Response]:
        limits = httpx.Limits(max_connections=250)
        async with httpx.AsyncClient(base_url=serving.address, limits=limits, timeout=30) as http:
            body = {"flights": [sent] * 100}
            return await asyncio.gather(*(http.post("/predict/batch", json=body) for _ in range(250)))

    answers = asyncio.run(crowd())
    assert {answer.status_code for answer in answers} == {200, 503}
    assert all(answer.headers.get("retry-after") for answer in answers if answer.status_code == 503)
    assert serving.ask(sent)["version"] == 7


@pytest.mark.parametrize("code", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
@pytest.mark.parametrize("path", ["/predict", "/predict/batch"])
def test_a_body_in_another_encoding_than_utf8_is_refused(
    serving: Plane, sent: dict[str, Any], path: str, code: str
) -> None:
    body = json.dumps(sent if path == "/predict" else {"flights": [sent]}).encode(code)
    answer = serving.client.post(path, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400, answer.text
    assert "the body is not JSON" in answer.text
