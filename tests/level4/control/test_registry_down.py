"""A registry that is down when the platform starts: it serves what it served before, and says why it does no more."""

import time
from pathlib import Path

import httpx
import pandas as pd
import pytest

from level4_deployment.control.client import PlatformClient
from level4_deployment.control.platform_process import running_platform
from level4_deployment.replay_client import as_requests
from shared.errors import UserError
from tests.level4.registries import DOWN, Registry
from tests.support import eventually

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("platform")]  # version 1 is the champion


@pytest.mark.parametrize("why", DOWN)
def test_a_platform_starts_and_serves_while_the_registry_is_down_and_follows_it_once_it_is_back(
    registry_: Registry, home: Path, flights: pd.DataFrame, why: str
) -> None:
    database = registry_.settings.level("level3") / "mlflow.db"
    with running_platform(home) as running:
        with DOWN[why](database):
            running.wait_for_control()
            running.wait_until_ready()
            for flight in as_requests(flights.head(5)):
                assert httpx.post(f"{running.service}/predict", json=flight).json()["version"] == 1
            with PlatformClient.at(home, "operator") as operator, PlatformClient.at(home, "feed") as feed:
                begun = time.monotonic()
                assert "version 1 keeps serving" in operator.get("/status")["degraded"]
                feed.post("/labels", labels=[], watermark=1e9)
                with pytest.raises(UserError, match=r"503: the registry .* cannot be read"):
                    operator.post("/versions/2/promote", reason="a try")
                assert time.monotonic() - begun < 3 * 2.0, "three calls, and each may wait until a look is over"
        with PlatformClient.at(home, "operator") as operator:
            eventually(lambda: not operator.get("/status")["degraded"], within=20)
            assert operator.post("/versions/2/promote", reason="a try")["routes"]["champion"]["version"] == 2
    assert running.process.poll() is not None, "it ends with the block"
