"""Versions that should not be served, and challengers that fail, are slow or hang: users get the champion's answers."""

import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sklearn.pipeline import Pipeline

from level2_devops.model import fit
from level4_deployment.experiment.design import Plan
from level4_deployment.experiment.experiment_store import Experiment
from level4_deployment.experiment.guardrails import guardrail_violation
from level4_deployment.prediction_log import open_log, url_of
from level4_deployment.serving.package import GRAPH
from level4_deployment.serving.routes import MODELS, WORKERS
from tests.level4.graphs import busy, ignorant, table_of_carriers
from tests.level4.load import load
from tests.level4.plane import bodies, package, plane, route

FOREVER = 2**62  # rounds
CARRIERS = ["B6", "UA", "WN", "AA", "DL", "EV", "MQ", "US", "9E", "VX"]
CHANCES = {carrier: 0.1 + 0.01 * i for i, carrier in enumerate(CARRIERS)}


@pytest.fixture(scope="module")
def sent(flights: pd.DataFrame) -> list[dict[str, Any]]:
    return bodies(flights.sample(300, random_state=4))


def known_to_tables(sent: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same flights, with codes that hand-made tables know: each carrier a tenth of them."""
    return [one | {"carrier": CARRIERS[i % 10], "dest": "BOS"} for i, one in enumerate(sent)]


@pytest.mark.parametrize("role", ["champion", pytest.param("challenger", marks=pytest.mark.slow)])
def test_a_file_that_was_touched_is_refused_and_the_last_good_one_serves(
    trained: Pipeline, known: pd.DataFrame, tmp_path: Path, sent: list[dict[str, Any]], role: str
) -> None:
    good, bad = package(tmp_path, 1, trained), package(tmp_path, 2, fit(known.iloc[::30], max_iter=5))
    file = tmp_path / MODELS / bad.digest / GRAPH
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    route(tmp_path, 1, good)
    with plane(tmp_path) as running:
        route(tmp_path, 2, bad) if role == "champion" else route(tmp_path, 2, good, bad, 0.5)
        until = time.monotonic() + 10
        while not (ready := running.client.get("/ready").json())["refused"] and time.monotonic() < until:
            time.sleep(0.05)
        assert f"{GRAPH} has SHA-256" in ready["refused"]
        assert (ready["champion"]["version"], ready["challenger"]) == (1, None)
        assert {running.ask(one)["version"] for one in sent[:20]} == {1}
        assert "routes_refused" in running.client.get("/metrics").text
        file.write_bytes(whole)
        running.wait(2)
        until = time.monotonic() + 10
        while (ready := running.client.get("/ready").json())["refused"] and time.monotonic() < until:
            time.sleep(0.05)
        served = ready["champion"] if role == "champion" else ready["challenger"]
        assert served["version"] == 2, "once it is whole, it serves"


@pytest.mark.slow
def test_a_challenger_that_fails_for_a_tenth_costs_nobody_anything(tmp_path: Path, sent: list[dict[str, Any]]) -> None:
    champion = table_of_carriers(tmp_path, 1, CHANCES)
    route(tmp_path, 1, champion, table_of_carriers(tmp_path, 2, CHANCES, failing="VX"), 0.5)
    with plane(tmp_path) as running:
        with load(running.address, known_to_tables(sent), clients=8) as seen:
            time.sleep(2.0)
        ((failed, rows),) = running.rows("SELECT sum(failed), sum(rows) FROM inference_batches WHERE version = 2")
        arms = running.rows(
            "SELECT request_payload LIKE '%\"VX\"%', predictions.version, failure, count(*) FROM predictions "
            "LEFT JOIN shadow_predictions USING (request_id) WHERE arm = 'challenger' GROUP BY 1, 2, 3"
        )
    assert seen.failures == []
    assert failed / rows > 0.05
    in_time = [row for row in arms if "deadline" not in (row[2] or "")]  # which a busy machine may keep it from
    assert {(bool(is_vx), version) for is_vx, version, _, _ in in_time} == {(False, 2), (True, 1)}
    assert all("out of" in failure for is_vx, _, failure, _ in in_time if is_vx)


def test_a_worker_that_cannot_publish_what_it_serves_follows_all_the_same(
    tmp_path: Path, sent: list[dict[str, Any]]
) -> None:
    one, two = (table_of_carriers(tmp_path, number, CHANCES) for number in (1, 2))
    route(tmp_path, 1, one)
    with plane(tmp_path) as running:
        for generation, package_ in ((2, two), (3, one)):
            (tmp_path / WORKERS).rename(tmp_path / "away")
            (tmp_path / WORKERS).write_text("as good as a full disk")
            route(tmp_path, generation, package_)
            until = time.monotonic() + 10
            while running.ask(sent[0])["version"] != package_.version and time.monotonic() < until:
                time.sleep(0.05)
            assert running.ask(sent[0])["version"] == package_.version
            (tmp_path / WORKERS).unlink()
            (tmp_path / "away").rename(tmp_path / WORKERS)
            running.wait(generation)


def test_a_challenger_that_knows_less_than_the_champion_is_told_to_control_and_ends(
    tmp_path: Path, sent: list[dict[str, Any]], plan: Plan
) -> None:
    """One of ten carriers is new to it: there it answers by its base rate. What neither knows is nobody's fault."""
    route(tmp_path, 1, table_of_carriers(tmp_path, 1, CHANCES), ignorant(tmp_path, 2, CHANCES, "VX"), 0.5)
    new = Experiment("experiment", 1, 2, "salt", 0.5, plan, None, "running", "", "test")
    log = open_log(url_of(tmp_path))
    with plane(tmp_path) as running:
        running.ask(sent[0] | {"carrier": "ZZ"})
        for one in known_to_tables(sent)[:150]:
            running.ask(one)
            if why := guardrail_violation(log, new):
                break
        running.ask(sent[0] | {"carrier": "ZZ"})  # its group carries what came after the answers before
        ((rows, fell_back),) = running.rows("SELECT sum(rows), sum(fell_back) FROM inference_batches")
    log.dispose()
    assert "version 2 gave only its base rate for" in why
    assert 3 <= fell_back <= 0.15 * rows


@pytest.mark.slow
def test_a_challenger_that_is_ten_times_slower_is_told_to_control_and_users_hardly_notice(
    tmp_path: Path, sent: list[dict[str, Any]]
) -> None:
    route(tmp_path, 1, busy(tmp_path, 1, 200), busy(tmp_path, 2, 2_000), 0.5)
    with plane(tmp_path) as running:
        with load(running.address, known_to_tables(sent), clients=2) as seen:
            time.sleep(2.0)
        ((slow, times),) = running.rows("SELECT sum(slow), count(*) FROM inference_batches WHERE version = 2")
    assert seen.failures == []
    assert slow > 0.8 * times > 20
    assert sorted(seen.seconds)[int(len(seen.seconds) * 0.9)] < 0.5


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_challenger_that_hangs_leaves_users_the_champions_answer_and_lets_the_process_end(
    tmp_path: Path, sent: list[dict[str, Any]], share: float
) -> None:
    champion = table_of_carriers(tmp_path, 1, CHANCES)
    route(tmp_path, 1, champion, busy(tmp_path, 2, FOREVER), share)
    with plane(tmp_path) as running:
        with load(running.address, known_to_tables(sent), clients=4) as seen:
            time.sleep(2.5)
        ((failed, rows),) = running.rows("SELECT sum(failed), sum(rows) FROM inference_batches WHERE version = 2")
        arms = dict(running.rows("SELECT arm, count(*) FROM predictions WHERE version = 1 GROUP BY arm"))
        failures = {why for (why,) in running.rows("SELECT DISTINCT failure FROM shadow_predictions")}
        begun = time.monotonic()
        running.workers[0].stop()
        assert time.monotonic() - begun < 5
        assert running.workers[0].process.returncode == 0
    assert seen.failures == []
    assert {answer["version"] for answer in seen.answers} == {1}
    assert failed == rows > 0
    assert all(why.startswith("deadline") for why in failures)
    assert set(arms) == ({"champion", "challenger"} if share else {"champion"})
    slow = sum(seconds > 0.5 for seconds in seen.seconds)
    assert slow <= max(8, 0.1 * len(seen.seconds)), "only those who asked first have waited, and not for long"
    assert len(seen.answers) > 50
