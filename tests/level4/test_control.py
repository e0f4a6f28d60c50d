"""The control plane on a real registry: who serves, who is tried, what follows from what is seen."""

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE

from level4_deployment import assign, control, experiments
from level4_deployment.aliases import CHALLENGER, ConflictError
from level4_deployment.api import platform_metrics
from level4_deployment.control import Platform, verdict_on
from level4_deployment.experiments import Experiment
from level4_deployment.log import OUTCOMES, PAIRED, PREDICTIONS, SCORING, open_log, url_of
from level4_deployment.outcomes import ingest
from level4_deployment.patience import UNAVAILABLE, registry_client
from level4_deployment.plan import Plan
from level4_deployment.routes import MODELS, read_routes
from shared.errors import UserError
from tests.level4.conftest import Registry

MODEL = "flight-delays"
Split = Callable[[Experiment, str], str | None]


@pytest.fixture
def platform(registry_: Registry, home: Path) -> Platform:
    """Version 1 is the champion."""
    home.mkdir()
    made = Platform(home, lambda: registry_.client, open_log(url_of(home)))
    made.submit(1, None, "pipeline")
    return made


def alias(platform: Platform, name: str) -> int | None:
    found = platform.client.get_registered_model(MODEL).aliases.get(name)
    return None if found is None else int(found)


def as_asked(running: Experiment, flight: str) -> str | None:
    """The arm of a flight."""
    return assign.arm(running.salt, running.share, flight)


def by_another_salt(running: Experiment, flight: str) -> str | None:
    """As workers do whose routes were changed."""
    return assign.arm("another", running.share, flight)


def with_losses(running: Experiment, flight: str) -> str | None:
    """Nine of ten that are the challenger's never arrive."""
    found = as_asked(running, flight)
    return found if found == "champion" or flight.endswith("0") else None


def stream(platform: Platform, days: int, gain: float, split: Split = as_asked, begin: int = 0) -> None:
    """Put whole days of answers and outcomes on the log, the challenger better by `gain` nats, and judge each."""
    random = np.random.default_rng(5)
    running = platform.running()
    assert running
    noon = pd.Timestamp("2013-04-01 12:00", tz="America/New_York")
    for day in range(begin, begin + days + 1):
        running = platform.running()
        at = (noon + pd.DateOffset(days=day)).timestamp()
        if running is None:
            return
        rows, paired, outcomes = [], [], []
        for number in range(40):
            name = f"{day}-{number}"
            arm = split(running, name)
            if arm is None:
                continue
            propensity = assign.propensity(running.share, arm)
            chance = {1: 0.5, 2: float(np.exp(np.log(0.5) + gain + random.normal(0, 0.02)))}
            own = 2 if arm == "challenger" else 1
            rows.append(
                {
                    "request_id": name,
                    "flight_id": name,
                    "departs_at": at,
                    "asked_at": at,
                    "features": "{}",
                    "experiment": running.experiment,
                    "arm": arm,
                    "propensity": propensity,
                    "version": own,
                    "probability": chance[own],
                    "fallback": "",
                    "seconds": 0.001,
                }
            )
            paired.append({"request_id": name, "version": 3 - own, "probability": chance[3 - own]})
            outcomes.append({"flight_id": name, "late": 1, "known_at": at + 60, "received_at": at + 60})
        with platform.log.begin() as connection:
            connection.execute(PREDICTIONS.insert(), rows)
            connection.execute(PAIRED.insert(), paired)
            connection.execute(OUTCOMES.insert(), outcomes)
        closes = (noon.normalize() + pd.DateOffset(days=day + 2)).timestamp()
        ingest(platform.log, [], closes)
        platform.judge()


def test_the_first_version_becomes_champion_and_is_routed_to(platform: Platform) -> None:
    routes = read_routes(platform.home)
    assert routes
    assert (routes.champion.version, routes.challenger, routes.split) == (1, None, None)
    assert (platform.home / MODELS / routes.champion.digest / "model.onnx").exists()
    assert alias(platform, "champion") == 1


def test_the_next_one_is_tried_in_shadow_first_then_live_then_judged(platform: Platform, plan: Plan) -> None:
    platform.submit(2, plan, "pipeline")
    routes = read_routes(platform.home)
    assert routes
    assert routes.split
    assert (routes.challenger and routes.challenger.version, routes.split.share) == (2, 0.0)
    stream(platform, 3, gain=0.05)
    live = read_routes(platform.home)
    assert live
    assert live.split
    assert live.split.share == plan.share
    assert live.split.salt == routes.split.salt
    assert [one.live_from for one in experiments.find(platform.log)] == ["2013-04-06"]


def test_a_better_challenger_is_promoted_and_the_trail_says_why(platform: Platform, plan: Plan) -> None:
    platform.submit(2, plan, "pipeline")
    stream(platform, 28, gain=0.05)
    (done,) = experiments.find(platform.log)
    assert done.state == "promoted"
    assert (alias(platform, "champion"), alias(platform, CHALLENGER)) == (2, None)
    routes = read_routes(platform.home)
    assert routes
    assert (routes.champion.version, routes.challenger) == (2, None)
    trail = [(act["act"], act["who"], act["done"]) for act in experiments.acts(platform.log)]
    assert trail[1:] == [
        ("begin experiment", "pipeline", 1),
        ("go live", "platform", 1),
        ("promote", "platform", 1),
        ("end experiment", "platform", 1),
    ]


def test_a_worse_challenger_is_rejected(platform: Platform, plan: Plan) -> None:
    platform.submit(2, plan, "pipeline")
    stream(platform, 28, gain=-0.05)
    (done,) = experiments.find(platform.log)
    assert done.state == "rejected"
    assert alias(platform, "champion") == 1


def test_a_split_that_is_not_the_one_asked_for_blocks_every_verdict(platform: Platform, plan: Plan) -> None:
    platform.submit(2, plan, "pipeline")
    stream(platform, 24, gain=0.05, split=with_losses)
    assert experiments.find(platform.log)[0].state == "running"
    assert alias(platform, "champion") == 1


@pytest.mark.parametrize(("good_days", "kind"), [(range(7), "promote"), (range(7, 28), "blocked")])
def test_a_verdict_stands_or_falls_with_the_split_of_its_own_days(plan: Plan, good_days: range, kind: str) -> None:
    """Found after a week: neither do flights that are lost later block it, nor do whole days later release it."""
    days = pd.DataFrame(
        {
            "day": [f"2013-04-{day + 1:02}" for day in range(28)],
            "flights": 900,
            "difference": [0.05 + 0.001 * (day % 3) for day in range(28)],
            "champion_arm": 900,
            "challenger_arm": [100 if day in good_days else 50 for day in range(28)],
        }
    )
    verdict = verdict_on(plan, days)
    assert (verdict.kind, verdict.day) == (kind, 7)


CHANGED: dict[str, dict[str, Any]] = {
    "the salt in the routes": {},
    "the salt on record": {"salt": "another"},
    "the share on record": {"share": 0.5},
}


@pytest.mark.parametrize("changed", CHANGED)
def test_an_experiment_whose_split_was_changed_is_void_and_promotes_nobody(
    platform: Platform, plan: Plan, changed: str
) -> None:
    platform.submit(2, plan, "pipeline")
    stream(platform, 4, gain=0.05)
    running = platform.running()
    assert running
    experiments.save(platform.log, replace(running, **CHANGED[changed]))
    stream(platform, 28, 0.05, as_asked if CHANGED[changed] else by_another_salt, begin=5)
    (one,) = experiments.find(platform.log)
    assert one.state == "void"
    assert "were split by another salt, or another share than" in one.reason
    assert alias(platform, "champion") == 1


def test_with_approval_a_winner_waits_for_a_person(platform: Platform, plan: Plan) -> None:
    platform.approval = True
    platform.submit(2, plan, "pipeline")
    stream(platform, 28, gain=0.05)
    assert alias(platform, "champion") == 1
    assert platform.approve("operator") == 2
    assert alias(platform, "champion") == 2
    assert experiments.find(platform.log)[0].state == "promoted"


def test_what_waits_for_approval_waits_on_a_platform_that_is_started_without(
    platform: Platform, plan: Plan, registry_: Registry
) -> None:
    platform.approval = True
    platform.submit(2, plan, "pipeline")
    stream(platform, 28, gain=0.05)
    again = Platform(platform.home, lambda: registry_.client, platform.log)
    again.look()
    assert alias(platform, "champion") == 1
    assert again.approve("operator") == 2


def test_a_verdict_that_the_registry_does_not_take_is_carried_out_once_it_does(
    platform: Platform, plan: Plan, registry_: Registry
) -> None:
    """Without waiting for another day."""
    platform.submit(2, plan, "pipeline")
    with refusing(registry_):
        stream(platform, 28, gain=0.05)
        platform.look()
        assert "the verdict is not carried out" in platform.trouble
    assert alias(platform, "champion") == 1
    platform.look()
    assert (alias(platform, "champion"), platform.trouble) == (2, "")
    assert experiments.find(platform.log)[0].state == "promoted"


def test_a_verdict_that_is_tried_again_and_again_is_one_line_of_the_trail_and_told_all_the_time(
    platform: Platform, plan: Plan, registry_: Registry
) -> None:
    platform.submit(2, plan, "pipeline")
    with refusing(registry_):
        stream(platform, 28, gain=0.05)
        for _ in range(5):
            platform.look()
        platform.sync()
        assert "the verdict is not carried out" in platform.trouble, "also while a look follows the aliases"
        cut_off = experiments.acts(platform.log)[-2:]
        assert [(act["act"], act["done"]) for act in cut_off] == [("go live", 1), ("promote", experiments.CUT_OFF)]
    platform.look()
    trail = [(act["act"], act["done"]) for act in experiments.acts(platform.log)]
    assert trail[-3:] == [("go live", 1), ("promote", 1), ("end experiment", 1)]
    assert platform.trouble == ""


def test_two_things_that_cannot_be_done_are_both_told_and_each_until_it_is_done(
    platform: Platform, plan: Plan, registry_: Registry
) -> None:
    platform.submit(2, plan, "pipeline")
    with refusing(registry_):
        stream(platform, 28, gain=0.05)
        platform.client.delete_registered_model_alias(MODEL, "champion")
        platform.look()
        assert "champion names no version" in platform.trouble
        assert "the verdict is not carried out" in platform.trouble
    platform.client.set_registered_model_alias(MODEL, "champion", "1")
    platform.look()
    assert (alias(platform, "champion"), platform.trouble) == (2, "")


def test_a_guard_that_cannot_end_an_experiment_tries_on_in_one_line_with_the_last_reason(
    platform: Platform, plan: Plan, registry_: Registry
) -> None:
    made = platform.submit(2, plan, "pipeline")
    assert made
    row = {"version": 2, "experiment": made.experiment, "rows": 20, "seconds": 0.001, "slow": 0, "failed": 20}
    with refusing(registry_, "DELETE"):
        for _ in range(3):
            with platform.log.begin() as connection:
                connection.execute(SCORING.insert(), [row] * 10)
            platform.look()
        assert "nobody watches over the experiment" in platform.trouble
    platform.look()
    ends = [act for act in experiments.acts(platform.log) if act["act"] == "end experiment"]
    assert [(act["done"], "600 of 600" in act["reason"]) for act in ends] == [(experiments.DONE, True)]
    assert platform.trouble == ""


def test_what_a_person_asks_for_twice_is_twice_on_record(platform: Platform, registry_: Registry) -> None:
    with refusing(registry_):
        for reason in ("a try", "another"):
            with pytest.raises(MlflowException):
                platform.promote(2, "operator", reason)
    assert [act["reason"] for act in experiments.acts(platform.log)[-2:]] == ["a try", "another"]


def test_a_failing_challenger_is_stopped_at_once(platform: Platform, plan: Plan) -> None:
    made = platform.submit(2, plan, "pipeline")
    assert made
    row = {"version": 2, "experiment": made.experiment, "rows": 20, "seconds": 0.001, "slow": 0}
    with platform.log.begin() as connection:
        connection.execute(SCORING.insert(), [row | {"failed": 0}] * 20)
    platform.guard()
    assert platform.running()
    with platform.log.begin() as connection:
        connection.execute(SCORING.insert(), [row | {"failed": 20}] * 10)
    platform.guard()
    (done,) = experiments.find(platform.log)
    assert done.state == "aborted"
    assert "200 of 600" in done.reason
    assert alias(platform, CHALLENGER) is None


def test_a_second_challenger_must_wait_and_is_told(platform: Platform, plan: Plan) -> None:
    platform.submit(2, plan, "pipeline")
    with pytest.raises(ConflictError, match="version 3 must wait"):
        platform.submit(3, plan, "pipeline")


def test_a_version_that_had_to_wait_is_on_record_with_the_reason(platform: Platform, plan: Plan) -> None:
    platform.submit(2, plan, "pipeline")
    with pytest.raises(ConflictError):
        platform.submit(3, plan, "pipeline")
    last = experiments.acts(platform.log)[-1]
    assert (last["who"], last["act"], last["after"], last["done"]) == ("pipeline", "refuse", "3", experiments.DONE)
    assert last["reason"] == "version 2 is being tried against version 1"


def test_a_version_that_is_submitted_again_goes_on_in_the_experiment_that_was_begun(
    platform: Platform, plan: Plan
) -> None:
    first = platform.submit(2, plan, "pipeline")
    stream(platform, 4, gain=0.0)
    before = experiments.acts(platform.log), platform.running(), read_routes(platform.home)
    again = platform.submit(2, plan, "pipeline")
    assert first
    assert again
    assert again.experiment == first.experiment
    assert (experiments.acts(platform.log), platform.running(), read_routes(platform.home)) == before


def test_of_two_who_would_replace_the_same_champion_one_wins_and_the_other_is_told(platform: Platform) -> None:
    platform.promote(2, "one", "was better than 1", expected=1)
    with pytest.raises(ConflictError, match="the champion is now version 2"):
        platform.promote(3, "other", "was better than 1", expected=1)
    assert alias(platform, "champion") == 2


def test_another_share_voids_the_experiment_and_begins_a_new_one(platform: Platform, plan: Plan) -> None:
    platform.submit(2, plan, "pipeline")
    before = platform.running()
    after = platform.set_share(0.4, "operator")
    assert before
    states = {one.experiment: one.state for one in experiments.find(platform.log)}
    assert states == {before.experiment: "void", after.experiment: "running"}
    assert (after.plan.share, after.salt != before.salt) == (0.4, True)
    assert platform.set_share(0.4, "operator") == after, "whoever asks twice, after a crash perhaps, changes it once"


def test_a_change_of_the_share_that_is_cut_off_leaves_one_experiment_under_way(
    platform: Platform, plan: Plan, registry_: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.submit(2, plan, "pipeline")
    with monkeypatch.context() as killed:
        killed.setattr(experiments, "end_act", lambda *_: sys.exit("killed"))
        with pytest.raises(SystemExit):
            platform.set_share(0.4, "operator")
    again = Platform(platform.home, lambda: registry_.client, platform.log)
    again.reconcile()
    assert [one.state for one in experiments.find(platform.log)] == ["void", "running"]
    assert experiments.acts(platform.log)[-1]["done"] == experiments.DONE
    routes = read_routes(platform.home)
    assert routes
    assert routes.split
    assert routes.split.experiment == experiments.find(platform.log)[-1].experiment


def test_an_alias_that_names_nothing_changes_nothing_and_is_told(platform: Platform) -> None:
    before = read_routes(platform.home)
    platform.client.delete_registered_model_alias(MODEL, "champion")
    platform.sync()
    assert read_routes(platform.home) == before
    assert "version 1 serves on" in platform.trouble
    assert "champion names no version" in platform.trouble
    assert b"platform_trouble 1.0" in platform_metrics(platform)
    platform.promote(1, "operator", "back")
    assert b"platform_trouble 0.0" in platform_metrics(platform)


def test_a_package_that_was_touched_is_not_routed_to(platform: Platform, registry_: Registry) -> None:
    version = registry_.client.get_model_version(MODEL, "3")
    kept = Path(registry_.client.get_run(str(version.run_id)).info.artifact_uri.removeprefix("file://"))
    file = kept / "serving" / "model.onnx"
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + b"?")
    try:
        with pytest.raises(UserError, match=r"model\.onnx"):
            platform.promote(3, "operator", "try")
        registry_.client.set_registered_model_alias(MODEL, "champion", "3")  # past the platform
        platform.sync()
    finally:
        file.write_bytes(whole)
    routes = read_routes(platform.home)
    assert routes
    assert routes.champion.version == 1
    assert "version 1 serves on" in platform.trouble


def test_a_roll_back_gives_the_alias_to_the_champion_before(platform: Platform) -> None:
    platform.promote(2, "operator", "try")
    assert platform.roll_back("operator", "no good") == 1
    routes = read_routes(platform.home)
    assert routes
    assert routes.champion.version == 1
    assert [act["reason"] for act in experiments.acts(platform.log)][-1] == "no good"


def test_a_version_whose_files_are_gone_is_not_rolled_back_to(platform: Platform, registry_: Registry) -> None:
    platform.promote(2, "operator", "try")
    version = registry_.client.get_model_version(MODEL, "1")
    kept = Path(registry_.client.get_run(str(version.run_id)).info.artifact_uri.removeprefix("file://")) / "serving"
    kept.rename(kept.with_name("away"))
    shutil.rmtree(platform.home / MODELS)
    try:
        with pytest.raises(UNAVAILABLE):
            platform.roll_back("operator", "no good")
    finally:
        kept.with_name("away").rename(kept)
    assert alias(platform, "champion") == 2


def test_a_roll_back_that_is_asked_for_twice_goes_back_once(platform: Platform) -> None:
    for number in (2, 3):
        platform.promote(number, "operator", "try")
    assert [platform.roll_back("loop", "no good", expected=3) for _ in range(2)] == [2, 2]
    assert alias(platform, "champion") == 2
    assert [act["act"] for act in experiments.acts(platform.log)].count("roll back") == 1


KILLED = """
import os, signal, sys
from pathlib import Path
from mlflow import MlflowClient
from level3_training_pipeline import tracking
from level4_deployment import experiments
from level4_deployment.control import Platform
from level4_deployment.log import url_of, open_log
from shared.settings import read_settings
home = Path(sys.argv[1])
platform = Platform(home, lambda: tracking.open_tracking(read_settings()), open_log(url_of(home)))
step = sys.argv[2]
if step == "before the alias":
    platform.client.set_registered_model_alias = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
else:
    experiments.end_act = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
platform.promote(2, "operator", "killed")
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
@pytest.mark.parametrize("step", ["before the alias", "before the audit row is closed"])
def test_what_a_kill_has_cut_off_is_finished_at_the_next_start(platform: Platform, step: str) -> None:
    ended = subprocess.run([sys.executable, "-c", KILLED, str(platform.home), step], check=False)
    assert ended.returncode == -9
    assert experiments.acts(platform.log, open_only=True)
    again = Platform(platform.home, platform.open_registry, platform.log)
    again.reconcile()
    assert alias(again, "champion") == 2
    assert not experiments.acts(again.log, open_only=True)
    routes = read_routes(platform.home)
    assert routes
    assert routes.champion.version == 2


def test_an_alias_that_is_moved_past_the_platform_is_followed_and_on_record(platform: Platform, plan: Plan) -> None:
    platform.submit(2, plan, "pipeline")
    platform.client.set_registered_model_alias(MODEL, "champion", "3")
    platform.sync()
    platform.sync()
    routes = read_routes(platform.home)
    assert routes
    assert (routes.champion.version, routes.challenger) == (3, None)
    moved = [act for act in experiments.acts(platform.log) if act["who"] == "registry"]
    assert [(act["before"], act["after"]) for act in moved] == [("1", "3")]
    assert experiments.find(platform.log)[0].state == "void"
    assert platform.roll_back("operator", "not that one") == 1


def test_an_alias_that_is_moved_past_the_platform_to_the_version_that_is_tried_is_no_verdict(
    platform: Platform, plan: Plan
) -> None:
    platform.submit(2, plan, "pipeline")
    platform.client.set_registered_model_alias(MODEL, "champion", "2")
    platform.look()
    (one,) = experiments.find(platform.log)
    assert (one.state, one.reason) == ("void", "the champion is now version 2")
    assert read_routes(platform.home).champion.version == 2  # type: ignore[union-attr]


@pytest.mark.parametrize("cut_off", ["judge", "_decide"], ids=["the outcomes are there", "the days are closed"])
def test_a_verdict_that_a_sudden_end_has_cut_off_is_carried_out_at_the_next_start(
    platform: Platform, plan: Plan, monkeypatch: pytest.MonkeyPatch, registry_: Registry, cut_off: str
) -> None:
    platform.submit(2, plan, "pipeline")
    with monkeypatch.context() as broken:
        broken.setattr(platform, cut_off, lambda *_: None)  # and then the process is gone
        stream(platform, 21, gain=0.05)
    assert alias(platform, "champion") == 1
    Platform(platform.home, lambda: registry_.client, platform.log).reconcile()
    assert alias(platform, "champion") == 2
    assert experiments.find(platform.log)[0].state == "promoted"


def test_an_act_that_never_took_effect_is_told_from_one_that_did(platform: Platform, registry_: Registry) -> None:
    begun = experiments.begin_act(platform.log, "pipeline", "begin experiment", (None, "1-against-2-gone"), "killed")
    Platform(platform.home, lambda: registry_.client, platform.log).reconcile()
    states = {act["number"]: act["done"] for act in experiments.acts(platform.log)}
    assert states[begun] == experiments.CUT_OFF


def test_an_act_on_an_experiment_took_effect_if_its_record_says_so(
    platform: Platform, registry_: Registry, plan: Plan
) -> None:
    made = platform.submit(2, plan, "pipeline")
    assert made
    changes = [(None, made.experiment), (made.experiment, "void"), (made.experiment, f"{plan.share:g} of flights")]
    begun = [experiments.begin_act(platform.log, "operator", "an act", change, "killed") for change in changes]
    Platform(platform.home, lambda: registry_.client, platform.log).reconcile()
    states = {act["number"]: act["done"] for act in experiments.acts(platform.log)}
    assert [states[number] for number in begun] == [experiments.DONE, experiments.CUT_OFF, experiments.CUT_OFF]


def test_where_the_alias_was_taken_away_no_untried_version_becomes_the_champion(platform: Platform, plan: Plan) -> None:
    platform.client.delete_registered_model_alias(MODEL, "champion")
    with pytest.raises(UserError, match="Remedy: make promote VERSION=1"):
        platform.submit(2, plan, "pipeline")
    assert alias(platform, "champion") is None
    platform.promote(1, "operator", "back")
    assert platform.submit(2, plan, "pipeline")


def test_a_roll_back_to_the_version_that_is_tried_is_no_promotion(platform: Platform, plan: Plan) -> None:
    for number in (2, 3):
        platform.promote(number, "operator", "try")
    platform.submit(2, plan, "pipeline")
    assert platform.roll_back("operator", "no good") == 2
    (one,) = experiments.find(platform.log)
    assert (one.state, one.reason) == ("void", "the champion is now version 2")
    assert platform.trouble == ""


def test_the_champion_is_not_tried_against_itself(platform: Platform, plan: Plan) -> None:
    with pytest.raises(UserError, match="version 1 is the champion already"):
        platform.submit(1, plan, "pipeline")


def test_days_are_judged_alike_when_the_platform_was_started_anew_in_between(
    platform: Platform, plan: Plan, registry_: Registry
) -> None:
    platform.submit(2, replace(plan), "pipeline")
    stream(platform, 5, gain=0.05)
    days = experiments.days_of(platform.log, experiments.find(platform.log)[0].experiment)
    again = Platform(platform.home, lambda: registry_.client, platform.log)
    again.reconcile()
    with platform.log.begin() as connection:
        connection.execute(sa.delete(experiments.DAYS))
    again.judge()
    pd.testing.assert_frame_equal(experiments.days_of(platform.log, experiments.find(platform.log)[0].experiment), days)


def test_a_registry_that_does_not_answer_holds_nobody_up_for_more_than_two_seconds(
    platform: Platform, registry_: Registry
) -> None:
    """Neither those that look and find nothing new, nor those that act."""
    before = read_routes(platform.home)
    running = Platform(platform.home, lambda: registry_client(registry_.settings), platform.log)
    running.look()
    with locked(registry_):
        for act in (running.look, lambda: running.promote(2, "operator", "try"), lambda: running.roll_back("me", "no")):
            begun = time.monotonic()
            with suppress(MlflowException):
                act()
            assert time.monotonic() - begun < 2.0
    assert read_routes(platform.home) == before
    assert "version 1 serves on" in running.trouble
    running.look()
    assert running.trouble == ""


@contextmanager
def locked(registry_: Registry) -> Iterator[None]:
    """A registry that somebody else writes to while the block runs."""
    with closing(sqlite3.connect(registry_.settings.level("level3") / "mlflow.db", isolation_level=None)) as database:
        database.execute("BEGIN EXCLUSIVE")
        yield
        database.execute("ROLLBACK")


def test_a_registry_that_fails_for_a_moment_ends_no_experiment(
    platform: Platform, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.submit(2, plan, "pipeline")
    error = MlflowException("database is locked", error_code=TEMPORARILY_UNAVAILABLE)
    with monkeypatch.context() as broken:
        broken.setattr(platform.client, "get_model_version", lambda *_: (_ for _ in ()).throw(error))
        platform.look()
    assert "database is locked" in platform.trouble
    platform.look()
    assert platform.trouble == ""
    assert platform.running()


@contextmanager
def refusing(registry_: Registry, change: str = "UPDATE") -> Iterator[None]:
    """A registry that can be read, and moves no alias while the block runs; or, with DELETE, takes none away."""
    when = f"CREATE TRIGGER full BEFORE {change} ON registered_model_aliases BEGIN SELECT RAISE(ABORT, 'full'); END"
    with closing(sqlite3.connect(registry_.settings.level("level3") / "mlflow.db")) as database:
        database.execute(when)
        try:
            yield
        finally:
            database.execute("DROP TRIGGER full")


def test_what_was_cut_off_is_finished_as_soon_as_the_registry_is_back(platform: Platform, registry_: Registry) -> None:
    experiments.begin_act(platform.log, "operator", "promote", (1, 2), "killed")
    started = Platform(platform.home, lambda: registry_.client, platform.log)
    with refusing(registry_):
        started.look()
    assert "not finished" in started.trouble
    assert read_routes(platform.home).champion.version == 1  # type: ignore[union-attr]
    started.look()
    assert (started.trouble, alias(platform, "champion")) == ("", 2)
    assert not experiments.acts(platform.log, open_only=True)


def test_a_move_that_failed_is_not_made_up_for_at_the_next_start(platform: Platform, registry_: Registry) -> None:
    with refusing(registry_), pytest.raises(MlflowException):
        platform.promote(3, "operator", "the registry can be read, and takes nothing")
    assert experiments.acts(platform.log)[-1]["done"] == experiments.CUT_OFF
    platform.promote(2, "operator", "later")
    Platform(platform.home, lambda: registry_.client, platform.log).reconcile()
    assert alias(platform, "champion") == 2
    assert platform.roll_back("operator", "back") == 1


def test_a_move_that_was_cut_off_is_not_replayed_over_a_later_one(platform: Platform, registry_: Registry) -> None:
    begun = experiments.begin_act(platform.log, "operator", "promote", (1, 3), "killed")
    platform.promote(2, "operator", "later")
    Platform(platform.home, lambda: registry_.client, platform.log).reconcile()
    assert alias(platform, "champion") == 2
    assert {act["number"]: act["done"] for act in experiments.acts(platform.log)}[begun] == experiments.CUT_OFF


def test_promoting_the_champion_again_is_no_act_and_a_roll_back_always_gives_another(platform: Platform) -> None:
    platform.promote(2, "operator", "better", expected=1)
    trail = experiments.acts(platform.log)
    platform.promote(2, "operator", "asked again after a crash", expected=1)
    platform.promote(2, "operator", "asked again by hand")
    assert experiments.acts(platform.log) == trail
    assert platform.roll_back("operator", "no good") == 1


def test_a_log_that_fails_ends_no_look_and_is_told_until_it_is_back(
    platform: Platform, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.submit(2, plan, "pipeline")
    log = platform.log
    monkeypatch.setattr(platform, "log", sa.create_engine(f"sqlite:///{platform.home}/gone/log.db"))
    platform.look()
    assert "unable to open database file" in platform.trouble
    monkeypatch.setattr(platform, "log", log)
    with monkeypatch.context() as broken:
        broken.setattr(control, "tripped", lambda *_: (_ for _ in ()).throw(sa.exc.OperationalError("", {}, OSError())))
        platform.look()
    assert "nobody watches over the experiment" in platform.trouble
    platform.look()
    assert platform.trouble == ""


def test_one_late_batch_ends_no_experiment_and_a_part_that_fails_of_every_batch_does(
    platform: Platform, plan: Plan
) -> None:
    made = platform.submit(2, plan, "pipeline")
    assert made
    row = {"version": 2, "experiment": made.experiment, "rows": 200, "seconds": 0.001, "slow": 0}
    with platform.log.begin() as connection:
        connection.execute(SCORING.insert(), [row | {"failed": 0}] * 3 + [row | {"failed": 200}])
    platform.guard()
    assert platform.running()
    with platform.log.begin() as connection:
        connection.execute(SCORING.insert(), [row | {"failed": 20}] * 100)
    platform.guard()
    assert platform.running() is None
