"""The platform's client: it asks again when the platform wants that, and names a platform that runs other code."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import httpx
import pytest
from filelock import FileLock, Timeout
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from level2_devops.service.worker_process import address_of, open_socket
from level4_deployment import cli
from level4_deployment.control import client
from level4_deployment.control.audit import describe_change
from level4_deployment.control.client import ADDRESSES, LOCK, RETRIES, PlatformClient, is_running, read_addresses
from level4_deployment.control.server import api_server
from shared.errors import UserError
from shared.files import write_json
from shared.processes.process_identity import this_process

EXPERIMENT = {"experiment": "2-against-1-no1", "champion": 1, "challenger": 2, "state": "running", "reason": "new"}
STATUS: dict[str, Any] = {"routes": None, "degraded": "", "experiments": []}
AUDIT = {"version": 2, "who": "operator", "act": "promote"}
OTHER: dict[str, tuple[str, Any, Callable[[PlatformClient], object]]] = {  # the path, its old answer, what is asked for
    "'degraded'": ("/status", {"routes": None, "trouble": ""}, cli.print_status),
    "'generation'": ("/status", STATUS | {"routes": {"champion": {"version": 1}}}, cli.print_status),
    "'plan'": ("/status", STATUS | {"experiments": [EXPERIMENT]}, cli.print_status),
    "'old_value'": ("/audit", [AUDIT], lambda platform: describe_change(platform.get("/audit")[0])),
    "/experiment/stop: 404": ("/", {}, lambda platform: platform.post("/experiment/stop", reason="because")),
    "/audit: 405": ("/audit", [], lambda platform: platform.post("/audit")),
}


@pytest.mark.parametrize("missing", OTHER)
def test_an_answer_of_other_code_is_named_with_the_remedy(missing: str) -> None:
    path, answer, ask = OTHER[missing]
    app = Starlette(routes=[Route(path, lambda _request: JSONResponse(answer))])
    with (
        open_socket() as listening,
        api_server(app, listening),
        PlatformClient(address_of(listening), "token") as platform,
        pytest.raises(UserError, match=rf"{re.escape(missing)}: the platform was started from .*Remedy: end it"),
    ):
        ask(platform)


RETRIED = {  # the answers, by status and Retry-After, and the pauses before the next attempt
    "as long as the platform asks for": ([(503, "1"), (503, "2"), (200, "")], [1.0, 2.0]),
    "neither for ever nor for long": ([(503, "3600")] * (RETRIES + 1), [client.LONGEST_PAUSE] * RETRIES),
    "not at all for what is refused": ([(409, "")], []),
}


@pytest.mark.parametrize("case", RETRIED)
def test_it_waits_and_asks_again(monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    answers, wanted = RETRIED[case]
    waiting, pauses = list(answers), list[float]()

    def answer(_request: httpx.Request) -> httpx.Response:
        status, after = waiting.pop(0)
        return httpx.Response(status, json={"detail": "not now"}, headers={"retry-after": after} if after else {})

    monkeypatch.setattr(client.time, "sleep", pauses.append)
    with PlatformClient("http://platform", "token") as platform:
        platform.http = httpx.Client(base_url="http://platform", transport=httpx.MockTransport(answer))
        with nullcontext() if answers[-1][0] == 200 else pytest.raises(UserError, match="not now"):
            platform.post("/labels", labels=[])
    assert (pauses, waiting) == (wanted, [])


def test_many_who_look_whether_a_platform_runs_all_find_it_and_none_when_it_was_killed(tmp_path: Path) -> None:
    addresses = {"service": "http://127.0.0.1:1", "control": "http://127.0.0.1:2", "process": this_process()}
    with FileLock(tmp_path / LOCK), ThreadPoolExecutor(8) as pool:
        write_json(tmp_path / ADDRESSES, addresses)
        assert all(pool.map(lambda _: is_running(tmp_path), range(2000)))
    with ThreadPoolExecutor(8) as pool:  # a platform can start while others look
        looking = [pool.submit(is_running, tmp_path) for _ in range(2000)]
        for _ in range(200):
            try:
                FileLock(tmp_path / LOCK, timeout=0).acquire().lock.release()
            except Timeout:
                pytest.fail("those who look have taken the lock")
        assert all(one.result() for one in looking)
    pid, _ = this_process().split(":")
    write_json(tmp_path / ADDRESSES, addresses | {"process": f"{pid}:0.0"})  # another process has its number now
    assert not is_running(tmp_path)
    with pytest.raises(UserError, match="no platform runs"):
        read_addresses(tmp_path)
