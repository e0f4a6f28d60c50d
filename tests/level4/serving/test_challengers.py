"""Challengers in real workers: in shadow, failing, slow or hanging; callers get the champion's answers in time."""

import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sklearn.pipeline import Pipeline

from level2_devops.load_generator import traffic
from level4_deployment.experiment.guardrails import guardrail_violation
from level4_deployment.prediction_log import open_log, url_of
from level4_deployment.replay_client import as_requests
from level4_deployment.serving.batching import LIVE, SHADOW
from tests.factories import experiment
from tests.level4.graphs import CARRIERS, busy, ignorant, known_to_graphs, table_of_carriers
from tests.level4.plane import of_carrier, package, plane, route
from tests.support import eventually

FOREVER = 2**62  # rounds
ALARMED = 0.987  # no champion answers this
TEN_CARRIERS = ["B6", "UA", "WN", "AA", "DL", "EV", "MQ", "US", "9E", "VX"]
CHANCES = {carrier: 0.1 + 0.01 * i for i, carrier in enumerate(TEN_CARRIERS)}


@pytest.fixture(scope="module")
def known_flights(flights: pd.DataFrame) -> list[dict[str, Any]]:
    return as_requests(known_to_graphs(flights).sample(200, random_state=6))


def known_to_tables(sent: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same flights, with codes that hand-made tables know: each carrier a tenth of them."""
    return [of_carrier(one, TEN_CARRIERS[i % 10]) | {"dest": "BOS"} for i, one in enumerate(sent)]


def test_a_challenger_that_knows_fewer_codes_than_the_champion_violates_a_guardrail(
    tmp_path: Path, sent: list[dict[str, Any]]
) -> None:
    """One of ten carriers is new to it, so it answers with its base rate; codes new to both models do not count."""
    route(tmp_path, 1, table_of_carriers(tmp_path, 1, CHANCES), ignorant(tmp_path, 2, CHANCES, "VX"), 0.5)
    new = experiment(experiment="experiment", share=0.5)
    with open_log(url_of(tmp_path)) as log, plane(tmp_path) as running:
        running.ask(of_carrier(sent[0], "ZZ"))
        for one in known_to_tables(sent)[:150]:
            running.ask(one)
            if why := guardrail_violation(log, new):
                break
        running.ask(of_carrier(sent[0], "ZZ"))  # by its commit, the shadow rows of earlier answers are in the log too
        ((rows, fell_back),) = running.rows("SELECT sum(rows), sum(fell_back) FROM inference_batches")
    assert "version 2 gave only its base rate for" in why
    assert 3 <= fell_back <= 0.15 * rows


@pytest.mark.slow
@pytest.mark.parametrize(("share", "seconds"), [(0.0, SHADOW + 2), (0.5, 2.5)])
def test_when_a_challenger_hangs_callers_get_the_champions_answer_and_the_process_can_end(
    tmp_path: Path, sent: list[dict[str, Any]], share: float, seconds: float
) -> None:
    champion = table_of_carriers(tmp_path, 1, CHANCES)
    route(tmp_path, 1, champion, busy(tmp_path, 2, FOREVER), share)
    with plane(tmp_path) as running:
        with traffic(running.address, known_to_tables(sent)) as seen:
            time.sleep(seconds)
        ((failed, rows),) = running.rows("SELECT sum(failed), sum(rows) FROM inference_batches WHERE version = 2")
        arms = dict(running.rows("SELECT arm, count(*) FROM predictions WHERE version = 1 GROUP BY arm"))
        failures = {why for (why,) in running.rows("SELECT DISTINCT failure FROM shadow_predictions")}
        begun = time.monotonic()
        running.workers[0].stop()
        assert time.monotonic() - begun < 5
        assert running.workers[0].process.returncode == 0
    assert seen.failed == []
    assert {version for *_, version in seen.rows} == {1}
    assert failed == rows > 0
    assert all(why.startswith("deadline") for why in failures)
    assert set(arms) == ({"champion", "challenger"} if share else {"champion"})
    slow = sum(milliseconds > 500 for _, milliseconds, *_ in seen.rows)
    assert slow <= max(8, 0.1 * len(seen.rows)), "only the first requests have waited, and not for long"
    assert share or all(milliseconds < 1_000 * SHADOW for _, milliseconds, *_ in seen.rows), "in shadow nobody waits"
    assert len(seen.rows) > 50


def test_a_caller_with_many_flights_waits_longer_so_that_a_busy_machine_fails_no_challenger(
    tmp_path: Path, sent: list[dict[str, Any]]
) -> None:
    """A batch takes this challenger longer than one flight may wait, as any one on a machine with much load."""
    route(tmp_path, 1, busy(tmp_path, 1, 200), busy(tmp_path, 2, 300_000), 0.5)
    flights = known_to_tables(sent)[:100]
    with plane(tmp_path) as running:
        answers = running.client.post("/predict/batch", json={"flights": flights}).json()["predictions"]
        ((seconds, failed),) = running.rows("SELECT max(seconds), sum(failed) FROM inference_batches WHERE version = 2")
    assert seconds > LIVE
    assert failed == 0
    assert {answer["version"] for answer in answers} == {1, 2}


def test_a_shadow_challengers_scores_are_logged_and_change_no_answer(
    trained: Pipeline, tmp_path: Path, known_flights: list[dict[str, Any]]
) -> None:
    champion = package(tmp_path, 1, trained)
    route(tmp_path, 1, champion)
    with plane(tmp_path) as running:
        alone = running.client.post("/predict/batch", json={"flights": known_flights}).json()["predictions"]
        route(tmp_path, 2, champion, table_of_carriers(tmp_path, 2, dict.fromkeys(CARRIERS, ALARMED)))
        running.wait(2)
        beside = running.client.post("/predict/batch", json={"flights": known_flights}).json()["predictions"]
        one = running.client.post("/predict", json=known_flights[0])
        shadow = "FROM shadow_predictions"
        eventually(lambda: running.rows(f"SELECT count(*) {shadow}")[0][0] == len(known_flights) + 1)
        logged = running.rows(f"SELECT version, probability {shadow}")
    assert [answer["probability"] for answer in beside] == [answer["probability"] for answer in alone]
    assert {answer["version"] for answer in beside} == {1}
    assert "0.98" not in one.text
    assert str(ALARMED) not in str(one.headers)
    assert {(version, round(chance, 3)) for version, chance in logged} == {(2, ALARMED)}
