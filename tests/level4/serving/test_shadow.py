"""What a challenger may cost, and show, those who ask: next to no time, and in shadow nothing of what it says."""

import time
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd
import pytest
from sklearn.pipeline import Pipeline

from tests.level4.graphs import CARRIERS, busy, table_of_carriers
from tests.level4.load import load
from tests.level4.plane import Plane, bodies, package, plane, route

ALARMED = 0.987  # what no champion says


def known_to_graphs(flights: pd.DataFrame) -> pd.DataFrame:
    """Those whose codes the hand-made models know."""
    places = flights["dest"].isin(["BOS", "LAX", "ORD", "ATL", "MCO", "FLL", "CLT", "SFO"])
    return flights[places & flights["carrier"].isin(CARRIERS)]


@pytest.fixture(scope="module")
def sent(flights: pd.DataFrame) -> list[dict[str, Any]]:
    return bodies(known_to_graphs(flights).sample(200, random_state=6))


def test_what_another_model_says_in_shadow_is_on_the_log_and_in_no_answer(
    trained: Pipeline, tmp_path: Path, sent: list[dict[str, Any]]
) -> None:
    champion = package(tmp_path, 1, trained)
    route(tmp_path, 1, champion)
    with plane(tmp_path) as running:
        alone = running.client.post("/predict/batch", json={"flights": sent}).json()["predictions"]
        route(tmp_path, 2, champion, table_of_carriers(tmp_path, 2, dict.fromkeys(CARRIERS, ALARMED)))
        running.wait(2)
        beside = running.client.post("/predict/batch", json={"flights": sent}).json()["predictions"]
        one = running.client.post("/predict", json=sent[0])
        running.ask(sent[0])  # its group carries what came after the answers before
        told = running.rows("SELECT version, probability FROM shadow_predictions")
    assert [answer["probability"] for answer in beside] == [answer["probability"] for answer in alone]
    assert {answer["version"] for answer in beside} == {1}
    assert "0.98" not in one.text
    assert str(ALARMED) not in str(one.headers)
    assert len(told) > len(sent)
    assert {(version, round(chance, 3)) for version, chance in told} == {(2, ALARMED)}


@pytest.mark.slow
def test_nobody_waits_for_a_challenger_in_shadow_that_is_ten_times_slower(
    tmp_path: Path, sent: list[dict[str, Any]]
) -> None:
    champion, slow = busy(tmp_path, 1, 200), busy(tmp_path, 2, 2_000)
    route(tmp_path, 1, champion)
    with plane(tmp_path) as running:
        ratios = []
        for number in range(5):  # in turns: whatever else the machine does falls on both alike
            route(tmp_path, 2 * number + 2, champion)
            without = halves(running, 2 * number + 2, sent)
            route(tmp_path, 2 * number + 3, champion, slow)
            ratios.append(halves(running, 2 * number + 3, sent) / without)
        ((times,),) = running.rows("SELECT sum(slow) FROM inference_batches WHERE version = 2")
    assert times > 50, "it was that slow"
    assert median(ratios) < 4, f"{ratios}: who waited for it would take ten times as long"


def halves(running: Plane, generation: int, sent: list[dict[str, Any]]) -> float:
    """The median seconds of an answer under these routes."""
    running.wait(generation)
    with load(running.address, sent, clients=2, pause=0.01) as seen:
        time.sleep(1.0)
    assert seen.failures == []
    assert {answer["version"] for answer in seen.answers} == {1}
    return median(seen.seconds)
