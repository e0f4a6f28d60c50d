"""A worker follows the routes; a version that cannot be loaded, or a status that cannot be written, changes nothing."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sklearn.pipeline import Pipeline

from level2_devops.model import fit
from level4_deployment.serving.package import GRAPH
from level4_deployment.serving.routes import MODELS, WORKERS
from tests.level4.graphs import table_of_carriers
from tests.level4.plane import package, plane, route
from tests.support import eventually


@pytest.mark.parametrize("role", ["champion", pytest.param("challenger", marks=pytest.mark.slow)])
def test_an_altered_file_is_refused_and_the_last_good_version_serves(
    trained: Pipeline, known: pd.DataFrame, tmp_path: Path, sent: list[dict[str, Any]], role: str
) -> None:
    good, bad = package(tmp_path, 1, trained), package(tmp_path, 2, fit(known.iloc[::30], max_iter=5))
    file = tmp_path / MODELS / bad.digest / GRAPH
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    route(tmp_path, 1, good)
    with plane(tmp_path) as running:
        route(tmp_path, 2, bad) if role == "champion" else route(tmp_path, 2, good, bad, 0.5)
        eventually(lambda: running.ready()["refused"])
        status = running.ready()
        assert f"{GRAPH} has SHA-256" in status["refused"]
        assert (status["champion"]["version"], status["challenger"]) == (1, None)
        assert {running.ask(one)["version"] for one in sent[:20]} == {1}
        assert "routes_refused" in running.client.get("/metrics").text
        file.write_bytes(whole)
        running.wait(2)
        eventually(lambda: not running.ready()["refused"])
        served = running.ready()[role]
        assert served["version"] == 2, "once it is whole, it serves"


def test_a_worker_that_cannot_publish_its_status_still_follows_the_routes(
    tmp_path: Path, sent: list[dict[str, Any]]
) -> None:
    one, two = (table_of_carriers(tmp_path, number, {"B6": 0.1}) for number in (1, 2))
    route(tmp_path, 1, one)
    with plane(tmp_path) as running:
        for generation, package_ in ((2, two), (3, one)):
            (tmp_path / WORKERS).rename(tmp_path / "away")
            (tmp_path / WORKERS).write_text("as good as a full disk")
            route(tmp_path, generation, package_)
            eventually(lambda: running.ask(sent[0])["version"] == package_.version)  # noqa: B023 - called at once
            (tmp_path / WORKERS).unlink()
            (tmp_path / "away").rename(tmp_path / WORKERS)
            running.wait(generation)
