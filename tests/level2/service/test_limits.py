"""The limits of every server: what one connection, and many large requests at once, can cost the others."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import httpx
import psutil
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from level2_devops.service.limits import MAX_BYTES, MAX_ROWS, ROW, protect
from level2_devops.service.uvicorn_server import MAX_PIPELINED, REPLY_SECONDS, server_config
from tests.level2.running_service import Service, connect
from tests.support import eventually

LIVE = b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n"
LARGE = b" " * 500_000
BIG = 50_000_000  # more than the buffers of both ends hold


class Slow:
    """An application whose large requests wait until `go_on` is set. begun: how many were begun at the same time."""

    def __init__(self) -> None:
        self.go_on, self.begun, self.most = threading.Event(), 0, 0

    async def answer(self, request: Request) -> Response:
        if len(await request.body()) < len(LARGE):
            return PlainTextResponse("small")
        self.begun += 1
        self.most = max(self.most, self.begun)
        while not self.go_on.is_set():
            await asyncio.sleep(0.01)
        self.begun -= 1
        return PlainTextResponse("large")


@pytest.fixture
def slow() -> Slow:
    return Slow()


@pytest.fixture
def address(slow: Slow) -> Iterator[str]:
    """The application behind the limits, on a server of its own."""
    big = Route("/big", lambda _request: PlainTextResponse(b" " * BIG))
    app = Starlette(routes=[Route("/", slow.answer, methods=["GET", "POST"]), big])
    protect(app)
    server = uvicorn.Server(server_config(app))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        eventually(lambda: server.started)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        slow.go_on.set()
        server.should_exit = True
        thread.join()


def test_beside_large_requests_that_wait_a_small_one_is_answered_and_more_large_ones_are_refused(
    slow: Slow, address: str
) -> None:
    """Large ones take turns, so many rows wait, and what is beyond is refused without being read."""
    admitted = MAX_ROWS // (len(LARGE) // ROW)
    with ThreadPoolExecutor(admitted) as clients:
        waiting = [clients.submit(httpx.post, address, content=LARGE, timeout=30) for _ in range(admitted)]

        def refusal() -> httpx.Response | None:
            """A body that is announced and never sent: the answer is 408 after ten seconds."""
            head = f"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(LARGE)}\r\n\r\n"
            with connect(address) as one:
                one.sendall(head.encode())
                one.settimeout(0.5)
                try:
                    return httpx.Response(int(one.recv(4096)[9:12]))
                except TimeoutError:
                    return None

        assert eventually(refusal).status_code == 503
        assert httpx.get(address).text == "small"
        refused = httpx.post(address, content=LARGE)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert not any(one.done() for one in waiting)
        slow.go_on.set()
        assert {one.result().text for one in waiting} == {"large"}
    assert slow.most == 1
    assert httpx.post(address, content=LARGE).text == "large"


def test_a_body_that_is_announced_too_large_is_refused_before_it_is_sent(address: str) -> None:
    with connect(address) as one:
        one.sendall(f"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {MAX_BYTES + 1}\r\n\r\n".encode())
        assert one.recv(4096).startswith(b"HTTP/1.1 413")


def test_a_few_requests_may_be_sent_ahead_and_a_megabyte_of_them_is_refused(service: Service) -> None:
    process = psutil.Process(service.process.pid)
    with connect(service.address) as one:
        one.sendall(LIVE * MAX_PIPELINED)
        received = b""
        while received.count(b'{"status":"live"}') < MAX_PIPELINED:
            received += one.recv(1 << 16)
        assert received.count(b"HTTP/1.1 200") == MAX_PIPELINED
    held = process.memory_info().rss
    with connect(service.address) as one, pytest.raises(ConnectionError):  # noqa: PT012 - at some time while we send
        for _ in range(20):
            one.sendall(LIVE * (1_000_000 // len(LIVE)))
        while one.recv(1 << 16):
            pass
        raise ConnectionError  # closed in good order
    assert process.memory_info().rss < held + 20_000_000
    assert service.client.get("/live").status_code == 200


@pytest.mark.slow
def test_a_client_that_does_not_read_its_reply_is_disconnected(address: str) -> None:
    with connect(address) as one:
        one.sendall(b"GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n")
        time.sleep(REPLY_SECONDS + 2)
        received = 0
        with suppress(ConnectionError):
            while part := one.recv(1 << 20):
                received += len(part)
    assert received < BIG


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"origin": "http://localhost:{port}", "host": "localhost:{port}"}, 200),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "http://127.0.0.1:9"}, 403),
        ({"origin": "null"}, 403),
        ({"host": "evil.example:{port}"}, 403),
        ({"host": "evil.example:{port}", "origin": "http://evil.example:{port}"}, 403),
        ({"host": "127.0.0.1.evil.example"}, 403),
    ],
)
def test_the_pages_of_other_sites_may_not_call(address: str, headers: dict[str, str], status: int) -> None:
    sent = {name: value.format(port=address.rpartition(":")[2]) for name, value in headers.items()}
    assert httpx.post(address, headers=sent).status_code == status
    foreign = "evil" in sent.get("host", "")
    assert httpx.get(address, headers=sent).status_code == (403 if foreign else 200)


@pytest.mark.parametrize("text", [r"\ud800", r"\u0000", r"a\uDFFFb"])
def test_a_text_that_cannot_be_stored_is_refused(service: Service, text: str) -> None:
    body = json.dumps({"carrier": "B6"})[:-1] + f', "dest": "{text}"}}'
    answer = service.client.post("/predict", content=body.encode(), headers={"content-type": "application/json"})
    assert answer.status_code == 422
    assert "surrogate" in answer.json()["detail"][0]["problem"]
