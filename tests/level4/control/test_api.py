"""The control plane's service, on loopback: acts need the right token, and each is on record."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from threading import Barrier
from typing import Any

import httpx
import pytest

from level2_devops.service.worker_process import address_of, open_socket
from level4_deployment.control.api import create_api
from level4_deployment.control.auth import make_tokens, read_token
from level4_deployment.control.client import PlatformClient, RefusedError
from level4_deployment.control.control_plane import ControlPlane
from level4_deployment.control.registry_client import ModelRegistry
from level4_deployment.control.server import api_server
from level4_deployment.experiment.design import Plan
from level4_deployment.prediction_log import open_log, url_of
from tests.level4.registries import Registry

As = Callable[[str], PlatformClient]


@pytest.fixture
def address(registry_: Registry, home: Path) -> Iterator[str]:
    make_tokens(home)
    with open_log(url_of(home)) as log, open_socket() as listening:
        platform = ControlPlane(home, ModelRegistry(lambda: registry_.client, home), log)
        with api_server(create_api(platform), listening):
            yield address_of(listening)


@pytest.fixture
def as_(address: str, home: Path) -> Iterator[As]:
    with ExitStack() as clients:
        yield lambda name: clients.enter_context(PlatformClient(address, read_token(home, name)))


def test_the_pipeline_submits_and_a_person_takes_it_back(as_: As, plan: Plan) -> None:
    pipeline, operator = as_("pipeline"), as_("operator")
    assert pipeline.submit(1, None) is None
    assert pipeline.submit(2, plan)
    status = operator.get("/status")
    assert status["routes"]["champion"]["version"] == 1
    assert status["routes"]["challenger"]["version"] == 2
    operator.post("/versions/3/promote", reason="a drill")
    assert [one["state"] for one in operator.get("/status")["experiments"]] == ["stopped"]
    assert operator.post("/rollback", reason="the drill is over")["routes"]["champion"]["version"] == 1
    trail = [(act["actor"], act["action"], act["old_value"], act["new_value"]) for act in operator.get("/audit")]
    assert ("operator", "promote", "1", "3") in trail
    assert trail[-1] == ("operator", "roll_back", "3", "1")


def test_of_two_that_were_trained_at_once_one_is_tried_and_the_other_is_told(as_: As, plan: Plan) -> None:
    """Both were compared with version 1: after the verdict on the one, that says nothing about the other any more."""
    pipeline = as_("pipeline")
    pipeline.submit(1, None)
    together, clients = Barrier(2), {number: as_("pipeline") for number in (2, 3)}

    def train(number: int) -> str:
        together.wait()
        try:
            return str(clients[number].submit(number, plan, champion=1))
        except RefusedError as error:
            return str(error)

    with ThreadPoolExecutor(2) as trainers:
        told = dict(zip(clients, trainers.map(train, clients), strict=True))
    won, lost = sorted(told, key=lambda number: "409" in told[number])
    assert told[won] == f"{won}-against-1-no1"
    assert f"409: version {won} is being tried against version 1: version {lost} must wait" in told[lost]
    as_("operator").post(f"/versions/{won}/promote", reason="it has won")
    with pytest.raises(RefusedError, match=f"409: .*compared with version 1, but the champion is now version {won}"):
        pipeline.submit(lost, plan, champion=1)
    assert pipeline.submit(lost, plan, champion=won)


OPERATE = {"operator", "loop"}
MAY = {  # by path: whose tokens are accepted, and a body
    "/versions": ({"pipeline", "operator"}, {"version": 9}),
    "/labels": ({"feed", "operator"}, {"labels": []}),
    "/versions/9/promote": (OPERATE, {"reason": "because"}),
    "/rollback": (OPERATE, {"reason": "because"}),
    "/experiment/stop": (OPERATE, {"reason": "because"}),
    "/experiment/traffic-split": (OPERATE, {"share": 0.3}),
    "/experiment/approve": (OPERATE, {}),
}


def test_each_name_may_do_what_it_is_there_for_and_a_stranger_nothing(as_: As, address: str, home: Path) -> None:
    tokens = {name: f"Bearer {read_token(home, name)}" for name in ("pipeline", "feed", "operator", "loop")}
    tokens |= {"nobody": "", "a stranger": "Bearer x", "half a token": tokens["operator"][:-1]}
    for (path, (may, body)), (name, token) in product(MAY.items(), tokens.items()):
        answer = httpx.post(address + path, json=body, headers={"authorization": token})
        assert (answer.status_code != 403) == (name in may), (path, name, answer.text)
    assert as_("operator").get("/audit") == []


def test_outcomes_are_taken_once_and_bad_ones_are_named(as_: As) -> None:
    feed = as_("feed")
    label = {"flight_id": "2013-04-01-B61-JFK", "late": 1, "known_at": 1364860800.0}
    assert feed.post("/labels", labels=[label], watermark=1364860800.0)["new"] == 1
    assert feed.post("/labels", labels=[label])["repeated"] == 1
    assert feed.post("/labels", labels=[label | {"late": 0}])["quarantined"] == 1
    with pytest.raises(RefusedError, match="late"):
        feed.post("/labels", labels=[label | {"late": 2}])
    with pytest.raises(RefusedError, match="422"):
        as_("operator").post("/experiment/approve")


def test_a_plan_with_a_wrong_field_is_refused_by_its_name(as_: As) -> None:
    pipeline = as_("pipeline")
    pipeline.submit(1, None)
    wrong: dict[str, Any] = {"first_harm_day": "7", "max_days": None, "look_evry": 1, "share": True}
    for name, value in wrong.items():
        with pytest.raises(RefusedError, match=f"422: .*{name}"):
            pipeline.post("/versions", version=2, plan={name: value})


BAD = ("NaN", r'"\ud800"', "9" * 25, "1e999", r'"\u0000!!"')  # half a pair, beyond 64 bits, no end, NUL
BODIES = [
    ("/labels", '{"labels": [{"flight_id": "2013-04-01-B61-JFK", "late": 1, "known_at": VALUE}]}'),
    ("/labels", '{"labels": [{"flight_id": VALUE, "late": VALUE, "known_at": 1}], "watermark": VALUE}'),
    ("/versions", '{"version": VALUE}'),
    ("/versions", '{"version": 2, "plan": {"smallest_gain": VALUE}}'),
    ("/versions", '{"version": 2, "plan": {"max_days": VALUE}}'),
    ("/rollback", '{"reason": VALUE}'),
    ("/rollback", '{"reason": "why", "expected": VALUE}'),
    ("/experiment/traffic-split", '{"share": VALUE}'),
    ("/rollback", '{"why": VALUE, "why": 1}'),
]


def test_what_cannot_be_stored_or_sent_is_refused_everywhere(as_: As) -> None:
    operator = as_("operator")
    operator.submit(1, None)
    before = operator.get("/audit")
    sent = [(path, body.replace("VALUE", value).encode()) for (path, body), value in product(BODIES, BAD)]
    sent.append(("/rollback", r'{"reason": "ab\u0000"}'.encode("utf-16")))  # Python's reader guesses the encoding
    sent += [(f"/versions/{number}/promote", b'{"reason": "because"}') for number in ("0", "-1", "9" * 30)]
    sent.append(("/versions/1%2F..%2F..%2Frollback/promote", b'{"reason": "because"}'))
    for path, content in sent:
        answer = operator.http.post(path, content=content, headers={"content-type": "application/json"})
        assert answer.status_code in (400, 404, 422), (path, content, answer.text)
    with pytest.raises(RefusedError, match="share = 7: Input should be less than 1"):
        operator.post("/experiment/traffic-split", share=7)
    assert operator.get("/audit") == before
    assert operator.get("/status")["watermark"] is None


def test_without_a_token_a_body_is_not_even_read(address: str) -> None:
    """Nor is anything read by a name that another site may have given to this machine."""
    host, _, port = address.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=5) as one:  # a body that never comes is waited for longer
        one.sendall(b"POST /labels HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500000\r\n\r\n")
        assert one.recv(4096).startswith(b"HTTP/1.1 403")
    assert httpx.get(address + "/status", headers={"host": "evil.example"}).status_code == 403


def test_a_watermark_beyond_now_or_the_stream_is_refused(as_: As) -> None:
    """It never goes back: one of the year 5138 would close every day for good."""
    feed, hour = as_("feed"), 3600.0
    for wrong in ({"watermark": 1e11}, {"watermark": time.time() + hour}):
        with pytest.raises(RefusedError, match=r"watermark=.* lies beyond .* Remedy"):
            feed.post("/labels", labels=[], **wrong)
    label = {"flight_id": "2013-04-01-B61-JFK", "late": 1, "known_at": 1e11}
    with pytest.raises(RefusedError, match="known_at=100000000000"):
        feed.post("/labels", labels=[label])
    feed.post("/labels", labels=[], watermark=1364860800.0)
    with pytest.raises(RefusedError, match="watermark"):
        feed.post("/labels", labels=[], watermark=1364860800.0 + 33 * 24 * hour)
    feed.post("/labels", labels=[], watermark=1364860800.0 + 6 * 24 * hour)
    assert as_("operator").get("/status")["watermark"] == 1364860800.0 + 6 * 24 * hour


@pytest.mark.slow
def test_no_request_that_follows_or_breaks_the_schema_gets_a_5xx(address: str, home: Path, tmp_path: Path) -> None:
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{address}/openapi.json"),
        *("--header", f"Authorization: Bearer {read_token(home, 'operator')}", "--checks", "not_a_server_error"),
        *("--max-examples", "20", "--seed", "2013", "--phases", "examples,coverage,fuzzing"),
    ]
    plain = {**os.environ, "NO_COLOR": "1"}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=plain, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
