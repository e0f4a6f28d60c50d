"""A client of a platform that runs other code than the client does: each command ends with the remedy."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from level2_devops.service.worker_process import address_of, open_socket
from level4_deployment import cli
from level4_deployment.control.audit import describe_change
from level4_deployment.control.client import PlatformClient
from level4_deployment.control.server import api_server
from shared.errors import UserError

EXPERIMENT = {"experiment": "2-against-1-no1", "champion": 1, "challenger": 2, "state": "running", "reason": "new"}
STATUS: dict[str, Any] = {"routes": None, "degraded": "", "experiments": []}
AUDIT = {"version": 2, "who": "operator", "act": "promote"}
OTHER: dict[str, tuple[str, Any, Callable[[PlatformClient], object]]] = {  # the path, its old answer, what is asked for
    "'degraded'": ("/status", {"routes": None, "trouble": ""}, cli.print_status),
    "'generation'": ("/status", STATUS | {"routes": {"champion": {"version": 1}}}, cli.print_status),
    "'planned'": ("/status", STATUS | {"experiments": [EXPERIMENT]}, cli.print_status),
    "'experiment'": ("/audit", [AUDIT], lambda platform: describe_change(platform.get("/audit")[0])),
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
