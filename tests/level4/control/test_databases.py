"""SQLite or PostgreSQL: an experiment comes to the same end on either; a server that is missing is told."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from level4_deployment.control import audit
from level4_deployment.control.control_plane import ControlPlane
from level4_deployment.control.registry_client import ModelRegistry
from level4_deployment.experiment import experiment_store
from level4_deployment.experiment.design import Plan
from level4_deployment.experiment.labels import Label, ingest, read_watermark
from level4_deployment.prediction_log import AUDIT, INFERENCE_BATCHES, open_log, url_of
from tests.level4 import postgres
from tests.level4.conftest import Registry
from tests.level4.control.streamed import stream


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def platform(request: pytest.FixtureRequest, registry_: Registry, home: Path) -> Iterator[ControlPlane]:
    """Version 1 is the champion."""
    home.mkdir()
    sqlite = request.param == "sqlite"
    log = open_log(url_of(home) if sqlite else postgres.new_database(request.getfixturevalue("postgresql")))
    made = ControlPlane(home, ModelRegistry(lambda: registry_.client, home), log)
    made.submit(1, None, "pipeline")
    yield made
    log.dispose()


def test_a_better_challenger_is_promoted_rolled_back_and_all_is_on_record(platform: ControlPlane, plan: Plan) -> None:
    platform.submit(2, plan, "pipeline")
    stream(platform, 28, gain=0.05)
    (done,) = experiment_store.find(platform.log)
    assert done.state == "promoted"
    assert "better" in done.reason
    days = experiment_store.days_of(platform.log, done.experiment)
    assert days["day"].is_monotonic_increasing
    assert set(days["flights"]) == {40}
    assert days["mean_loss_difference"].mean() == pytest.approx(0.05, abs=0.005)
    again = ingest(platform.log, [Label("1-1", 0, 5.0), Label("1-1", 1, 5.0)], 5.0)
    assert (again.new, again.repeated, again.quarantined) == (0, 1, 1)
    assert (read_watermark(platform.log) or 0) > 5.0, "it never goes back"
    assert platform.roll_back("operator", "a drill") == 1
    acts = [(act["action"], act["status"]) for act in audit.trail(platform.log)]
    assert acts == [
        ("promote", "done"),
        ("begin_experiment", "done"),
        ("go_live", "done"),
        ("promote", "done"),
        ("end_experiment", "done"),
        ("roll_back", "done"),
    ]


@pytest.mark.parametrize(
    ("failed", "slow", "why"), [(8, 0, "no score for 800 of 2,000"), (0, 1, "took far longer than")]
)
def test_a_challenger_that_fails_or_is_slow_is_stopped(
    platform: ControlPlane, plan: Plan, failed: int, slow: int, why: str
) -> None:
    made = platform.submit(2, plan, "pipeline")
    assert made
    turn = {"version": 2, "experiment": made.experiment, "rows": 20, "failed": failed, "seconds": 0.1, "slow": slow}
    platform.guard()
    assert platform.running()
    with platform.log.begin() as connection:
        connection.execute(INFERENCE_BATCHES.insert(), [turn] * 100)
    platform.guard()
    (done,) = experiment_store.find(platform.log)
    assert done.state == "aborted"
    assert why in done.reason


def test_a_move_that_a_sudden_end_has_cut_off_is_finished(platform: ControlPlane) -> None:
    audit.begin(platform.log, audit.move("operator", audit.PROMOTE, 1, 3, "cut off before the alias moved"))
    platform.reconcile()
    assert platform.routes
    assert platform.routes.champion.version == 3
    assert audit.open_actions(platform.log) == []
    with platform.log.connect() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(AUDIT)).scalar_one() == 2


def test_without_a_server_a_test_is_skipped_and_fails_where_nothing_may_be(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(postgres, "DEBIANS", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    for asked, label in (("", pytest.skip.Exception), ("1", pytest.fail.Exception)):
        monkeypatch.setenv("NOTHING_SKIPPED", asked)
        with pytest.raises(label, match="no initdb"), postgres.postgres():
            pass
