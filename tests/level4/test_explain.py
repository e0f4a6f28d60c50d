"""An answer taken apart: the parts add up, and the features that cannot matter get nothing."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from level3_training_pipeline.pipeline import data
from level3_training_pipeline.tracking import lineage, registry
from level4_deployment.control.registry_client import pull
from level4_deployment.explain import explain, look_up, shapley
from level4_deployment.prediction_log import url_of
from level4_deployment.replay_client import as_requests
from shared.errors import UserError
from tests.level4.plane import plane, route
from tests.level4.registries import Registry


def test_of_a_sum_each_part_contributes_its_own() -> None:
    row, background = (
        pd.DataFrame({"a": [3.0], "b": [5.0], "c": [7.0]}),
        pd.DataFrame({"a": [1.0], "b": [1.0], "c": [1.0]}),
    )
    average, parts, error = shapley(lambda some: (some["a"] * 2 + some["b"]).to_numpy(), row, background)
    assert (average, error) == (3.0, 0.0)
    np.testing.assert_allclose(parts, [4.0, 4.0, 0.0])


def test_an_answer_on_the_log_leads_back_to_version_run_commit_digest_and_rows(
    registered: Registry, home: Path, flights: pd.DataFrame
) -> None:
    version = registry.get(registered.client, "3")
    served = pull(version, home)
    route(home, 1, served)
    flight = as_requests(flights.sample(1, random_state=3))[0]
    with plane(home) as running:
        answer = running.ask(flight)
    explained = explain(registered.settings, home, answer["request_id"])
    assert explained.answer["flight_id"] == flight["flight_id"]
    assert explained.answer["probability"] == answer["probability"]
    assert explained.average + explained.contributions.sum() == pytest.approx(answer["probability"], abs=1e-6)
    assert 0 < explained.error < 0.005, "two decimals can be printed"
    run = registered.client.get_run(explained.lineage["MLflow run"])
    assert run.data.tags["cause"] == explained.lineage["cause"] == "20 trees"
    assert json.loads(explained.lineage["parameters"])["max_iter"] == "20"
    assert (explained.lineage["version"], explained.lineage["package"]) == ("3", served.digest)
    assert explained.lineage["model"] == version.tags["model_sha256"]
    assert explained.lineage["commit"] == lineage.commit()
    rows = data.gather(registered.settings)
    assert rows.file.name in explained.lineage["trained on"]
    assert f"{len(pd.read_parquet(rows.file)):,} flights known on 2013-03-01" in explained.lineage["trained on"]


def test_a_request_that_is_not_on_the_log_is_told(home: Path) -> None:
    home.mkdir()
    with pytest.raises(UserError, match="REQUEST=nothing: no such answer"):
        look_up(url_of(home), "nothing")
