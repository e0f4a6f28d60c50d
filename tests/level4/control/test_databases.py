"""SQLite or PostgreSQL: an experiment comes to the same end on either."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from level4_deployment.control import audit
from level4_deployment.control.control_plane import ControlPlane
from level4_deployment.experiment import experiment_store
from level4_deployment.experiment.design import Plan
from level4_deployment.experiment.labels import Label, ingest, read_watermark
from tests.level4 import postgres
from tests.level4.control.registry_in_memory import InMemoryRegistry
from tests.level4.control.streamed import stream


@pytest.fixture
def platform(registry: InMemoryRegistry, log: sa.Engine, tmp_path: Path) -> ControlPlane:
    """Version 1 is the champion."""
    made = ControlPlane(tmp_path, registry, log)
    made.submit(1, None, "pipeline")
    return made


def test_a_better_challenger_is_promoted_rolled_back_and_all_is_on_record(platform: ControlPlane, plan: Plan) -> None:
    platform.submit(2, plan, "pipeline")
    stream(platform, 28, gain=0.05)
    (done,) = experiment_store.find(platform.log)
    assert (done.state, done.live_from, done.verdict and done.verdict.day) == ("promoted", "2013-04-06", 7)
    assert "better" in done.reason
    days = experiment_store.days_of(platform.log, done.experiment)
    assert days["day"].is_monotonic_increasing
    assert set(days["flights"]) == {40}
    assert days["mean_loss_difference"].mean() == pytest.approx(0.05, abs=0.005)
    again = ingest(platform.log, [Label("1-1", 0, 5.0), Label("1-1", 1, 5.0)], 5.0)
    assert (again.new, again.repeated, again.quarantined) == (0, 1, 1)
    assert (read_watermark(platform.log) or 0) > 5.0, "it never goes back"
    assert platform.roll_back("operator", "a drill") == 1
    assert [(row["action"], row["status"]) for row in audit.trail(platform.log)] == [
        ("promote", "done"),
        ("begin_experiment", "done"),
        ("go_live", "done"),
        ("promote", "done"),
        ("end_experiment", "done"),
        ("roll_back", "done"),
    ]


def test_a_move_that_a_sudden_end_has_cut_off_is_finished(platform: ControlPlane) -> None:
    audit.begin(platform.log, audit.move("operator", audit.PROMOTE, 1, 3, "cut off before the alias moved"))
    platform.reconcile()
    assert platform.routes
    assert platform.routes.champion.version == 3
    assert audit.open_actions(platform.log) == []
    assert len(audit.trail(platform.log)) == 2


def test_the_platform_tries_again_in_the_same_row(platform: ControlPlane, registry: InMemoryRegistry) -> None:
    number = [audit.begin(platform.log, audit.Action("platform", "x", "first", None, "a", None, "1"))]
    audit.close(platform.log, number[0], audit.CUT_OFF)
    for reason, new in (("second", "1"), ("of another", "2")):
        number.append(audit.begin(platform.log, audit.Action("platform", "x", reason, None, "a", None, new)))
    assert (number[1] == number[0], number[2] == number[0]) == (True, False)
    assert audit.trail(platform.log)[-2]["reason"] == "second"


def test_without_a_server_a_test_is_skipped_and_fails_where_nothing_may_be(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(postgres, "DEBIANS", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    for asked, label in (("", pytest.skip.Exception), ("1", pytest.fail.Exception)):
        monkeypatch.setenv("NOTHING_SKIPPED", asked)
        with pytest.raises(label, match="no initdb"), postgres.postgres():
            pass
