"""The control plane's decisions, on a registry and a log in memory: a test takes milliseconds."""

import json
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from level3_training_pipeline.tracking.registry import CHAMPION, RegistryError
from level4_deployment.control import audit
from level4_deployment.control.api import platform_metrics
from level4_deployment.control.control_plane import CHALLENGER, ConflictError, ControlPlane
from level4_deployment.control.registry_client import UnavailableError
from level4_deployment.experiment import experiment_store
from level4_deployment.experiment.design import Plan, Verdict
from level4_deployment.prediction_log import AUDIT, EXPERIMENT_DAYS, EXPERIMENTS, INFERENCE_BATCHES
from level4_deployment.serving.package import PackageError
from level4_deployment.serving.routes import ROUTES, read_routes
from shared.errors import UserError
from tests.factories import batch, closed_days, day_differences, insert
from tests.level4.plane import routed
from tests.level4.registries import InMemoryRegistry

PLAN = Plan(share=0.3, max_days=28, inflation=1.0)  # decides soon


@pytest.fixture
def platform(in_memory: ControlPlane) -> ControlPlane:
    return in_memory


def days_close(platform: ControlPlane, differences: Any, challenger_arm: int = 270) -> Verdict | None:
    """These days of the running experiment are closed, and judged; without more, they are split as planned."""
    running = platform.running()
    assert running
    days = closed_days(differences, experiment=running.experiment, champion_arm=630, challenger_arm=challenger_arm)
    insert(platform.log, EXPERIMENT_DAYS, days.to_dict("records"))
    return platform.judge(again=True)


def started_again(platform: ControlPlane) -> ControlPlane:
    """Another process, after a sudden end of this one: it knows what is on record, and no more."""
    again = ControlPlane(platform.home, platform.registry, platform.log, approval=platform.approval)
    again.poll()
    return again


def trail(platform: ControlPlane) -> list[tuple[Any, ...]]:
    names = ("actor", "action", "version", "experiment", "old_value", "new_value", "status")
    return [tuple(row[name] for name in names) for row in audit.trail(platform.log)]


def test_a_version_is_tried_in_shadow_then_live_then_promoted(
    platform: ControlPlane, registry: InMemoryRegistry
) -> None:
    assert routed(platform.home) == (1, None, None)
    platform.submit(2, PLAN, "pipeline", expected=1)
    assert (routed(platform.home), registry.aliases) == ((1, 2, 0.0), {CHAMPION: 1, CHALLENGER: 2})
    days_close(platform, day_differences(0.02, 3))
    assert routed(platform.home) == (1, 2, 0.3)
    with platform.log.begin() as connection:
        connection.execute(EXPERIMENT_DAYS.delete())
    days_close(platform, day_differences(0.02, 14))
    assert (routed(platform.home), registry.aliases) == ((2, None, None), {CHAMPION: 2})
    name = "2-against-1-no1"
    assert trail(platform) == [
        ("pipeline", "promote", 1, None, None, "1", "done"),
        ("pipeline", "begin_experiment", 2, name, None, "running", "done"),
        ("platform", "go_live", 2, name, "0", "0.3", "done"),
        ("platform", "promote", 2, None, "1", "2", "done"),
        ("platform", "end_experiment", 2, name, "running", "promoted", "done"),
    ]


@pytest.mark.parametrize(
    ("differences", "state", "words"),
    [
        (day_differences(0.02, 14), "promoted", "better: mean gain"),
        (day_differences(-0.02, 14), "rejected", "worse: mean gain"),
        (day_differences(-0.0005, 28, sd=0.005), "rejected", "too small: mean gain"),
        (day_differences(0.002, 28, sd=0.02), "inconclusive", "not proven, non-inferior: mean gain"),
    ],
)
def test_a_verdict_is_stored_as_its_figures_and_shown_as_a_sentence(
    platform: ControlPlane, differences: Any, state: str, words: str
) -> None:
    platform.submit(2, PLAN, "pipeline")
    days_close(platform, differences)
    with platform.log.connect() as connection:
        row = connection.execute(sa.select(EXPERIMENTS)).mappings().one()
    figures = json.loads(row["verdict"])
    (one,) = experiment_store.find(platform.log)
    assert (row["state"], row["reason"]) == (state, None), "the sentence is not stored"
    assert one.reason.startswith(words)
    assert figures["mean"] == pytest.approx(np.mean(differences[: figures["day"]]))
    assert figures["flights"] == figures["day"] * 900
    assert (figures["lower"] < figures["mean"] < figures["upper"], figures["most"] < 0) == (True, "worse" in words)
    assert one.reason == one.verdict.reason(one.plan)  # type: ignore[union-attr]
    assert platform.registry.champion().number == (2 if state == "promoted" else 1)  # type: ignore[union-attr]


def test_days_whose_split_is_not_the_planned_one_lead_to_no_verdict(platform: ControlPlane) -> None:
    platform.submit(2, PLAN, "pipeline")
    verdict = days_close(platform, day_differences(0.02), challenger_arm=200)
    assert (verdict and verdict.kind, bool(platform.running())) == ("blocked", True)


def test_a_winner_waits_for_approval_also_after_a_start_without_it(platform: ControlPlane) -> None:
    platform.approval = True
    platform.submit(2, PLAN, "pipeline")
    with pytest.raises(UserError, match="no verdict waits for approval"):
        platform.approve("operator")
    days_close(platform, day_differences(0.02, 14))
    platform.approval = False
    again = started_again(platform)
    assert routed(again.home)[0] == 1
    assert again.running().state == "awaiting approval"  # type: ignore[union-attr]
    again.approve("operator")
    (one,) = experiment_store.find(again.log)
    assert (routed(again.home)[0], one.state, one.reason.startswith("better")) == (2, "promoted", True)


REFUSALS = [
    (3, ConflictError, "version 3 must wait"),
    (1, UserError, "version 1 is the champion already"),
    (4, UserError, "version 4 was refused by the gate quality"),
    (5, UserError, "version 5 was never at the gates"),
    (9, RegistryError, "no such version"),
]


@pytest.mark.parametrize(("number", "kind", "why"), REFUSALS)
def test_what_cannot_be_tried_is_refused(platform: ControlPlane, number: int, kind: type[UserError], why: str) -> None:
    platform.submit(2, PLAN, "pipeline")
    before = routed(platform.home)
    with pytest.raises(kind, match=why):
        platform.submit(number, PLAN, "pipeline")
    assert routed(platform.home) == before
    refused = [(row[1], row[2], row[6]) for row in trail(platform)[2:]]
    assert refused == ([("refuse", 3, "done")] if kind is ConflictError else [])


def test_a_comparison_with_a_champion_that_was_replaced_counts_no_more(platform: ControlPlane) -> None:
    platform.promote(2, "operator", "better", expected=1)
    for late in (
        lambda: platform.submit(3, PLAN, "pipeline", expected=1),
        lambda: platform.promote(3, "operator", "better", expected=1),
    ):
        with pytest.raises(ConflictError, match="compared with version 1, but the champion is now version 2"):
            late()
    with pytest.raises(UserError, match="without a plan"):
        platform.submit(3, None, "pipeline")
    assert platform.running() is None


def test_what_is_asked_for_twice_is_done_once(platform: ControlPlane) -> None:
    first = platform.submit(2, PLAN, "pipeline")
    assert platform.submit(2, Plan(share=0.5), "pipeline") == first, "by the plan that it was begun with"
    split = [platform.change_traffic_split(0.5, "operator") for _ in range(2)]
    assert split[0] == split[1]
    for _ in range(2):
        platform.promote(3, "operator", "by hand", expected=1)
    assert [platform.roll_back("loop", "no good", expected=3) for _ in range(2)] == [1, 1]
    actions = [row[1] for row in trail(platform)]
    assert [actions.count(one) for one in ("begin_experiment", "change_traffic_split", "roll_back")] == [1, 1, 1]


def test_another_share_ends_the_experiment_and_begins_a_new_one(platform: ControlPlane) -> None:
    with pytest.raises(UserError, match="no experiment is running"):
        platform.change_traffic_split(0.5, "operator")
    before = platform.submit(2, PLAN, "pipeline")
    after = platform.change_traffic_split(0.5, "operator")
    assert before
    assert [one.state for one in experiment_store.find(platform.log)] == ["stopped", "running"]
    assert (after.salt != before.salt, after.plan.share, after.share) == (True, 0.5, 0.0)
    assert trail(platform)[-1] == ("operator", "change_traffic_split", 2, after.experiment, "0.3", "0.5", "done")


def test_a_roll_back_goes_to_the_champion_that_was_replaced(platform: ControlPlane) -> None:
    with pytest.raises(UserError, match="version 1 has no champion before it"):
        platform.roll_back("operator", "no good")
    for number in (2, 3):
        platform.promote(number, "operator", "a try")
    assert [platform.roll_back("operator", "no good") for _ in range(2)] == [2, 1]
    assert routed(platform.home)[0] == 1


def test_a_roll_back_passes_by_a_version_that_the_registry_named_for_a_moment(
    platform: ControlPlane, registry: InMemoryRegistry
) -> None:
    platform.promote(2, "operator", "a try")
    registry.broken.add(3)
    for number in (3, 2):  # somebody moves the alias to a damaged version, and back
        registry.aliases[CHAMPION] = number
        platform.poll()
    assert platform.roll_back("operator", "no good") == 1
    assert routed(platform.home)[0] == 1


@pytest.mark.parametrize(("promoted", "state"), [(2, "promoted"), (3, "stopped")])
def test_a_promotion_by_hand_ends_the_experiment(platform: ControlPlane, promoted: int, state: str) -> None:
    platform.submit(2, PLAN, "pipeline")
    platform.promote(promoted, "operator", "by hand")
    (one,) = experiment_store.find(platform.log)
    assert (one.state, one.verdict) == (state, None)
    assert one.reason == ("by hand" if state == "promoted" else "the champion is now version 3")


@pytest.mark.parametrize("moved_to", [2, 3])
def test_an_alias_that_was_moved_past_the_platform_is_followed_and_is_no_verdict(
    platform: ControlPlane, registry: InMemoryRegistry, moved_to: int
) -> None:
    platform.submit(2, PLAN, "pipeline")
    registry.aliases[CHAMPION] = moved_to
    for _ in range(2):
        platform.poll()
    (one,) = experiment_store.find(platform.log)
    assert (routed(platform.home), one.state) == ((moved_to, None, None), "stopped")
    assert [row for row in trail(platform) if row[0] == "registry"] == [
        ("registry", "promote", moved_to, None, "1", str(moved_to), "done")
    ]
    assert platform.roll_back("operator", "not that one") == 1


def of_experiment(action: str, old: str | None, new: str, experiment: str = "2-against-1-no1") -> audit.Action:
    return audit.Action("operator", action, "killed", 2, experiment, old, new)


CUT_OFF = {  # what was on record at the sudden end → champion and state of the experiment after the next start, status
    "a move, before the alias": (audit.move("operator", audit.PROMOTE, 1, 3, "killed"), 3, "stopped", "done"),
    "the winner's move": (audit.move("platform", audit.PROMOTE, 1, 2, "it has won"), 2, "promoted", "done"),
    "a beginning": (of_experiment(audit.BEGIN, None, "running"), 1, "running", "done"),
    "no beginning": (of_experiment(audit.BEGIN, None, "running", "2-against-1-no2"), 1, "running", "cut_off"),
    "an end": (of_experiment(audit.STOP, "running", "stopped"), 1, "running", "cut_off"),
    "going live": (of_experiment(audit.GO_LIVE, "0", "0.3"), 1, "running", "cut_off"),
    "another share": (of_experiment(audit.CHANGE_SPLIT, "0.2", "0.3"), 1, "running", "done"),
}


@pytest.mark.parametrize("what", CUT_OFF)
def test_what_a_sudden_end_has_cut_off_is_finished_or_closed_as_soon_as_the_registry_can_be_written(
    platform: ControlPlane, registry: InMemoryRegistry, what: str
) -> None:
    action, champion, state, status = CUT_OFF[what]
    platform.submit(2, PLAN, "pipeline")
    number = audit.begin(platform.log, action)
    registry.read_only = True
    again = started_again(platform)
    assert ("not finished" in again.degraded, routed(again.home)[0]) == (action.action == audit.PROMOTE, 1)
    registry.read_only = False
    again.poll()
    assert again.degraded == ""
    (one,) = experiment_store.find(platform.log)
    assert (routed(again.home)[0], one.state) == (champion, state)
    assert (one.reason == action.reason) == (state == "promoted")
    assert [row["status"] for row in audit.trail(platform.log, AUDIT.c.number == number)] == [status]
    assert audit.trail(platform.log, AUDIT.c.status == audit.OPEN) == []


def test_a_move_that_was_cut_off_is_not_repeated_over_a_later_one(platform: ControlPlane) -> None:
    number = audit.begin(platform.log, audit.move("operator", audit.PROMOTE, 1, 3, "killed"))
    platform.promote(2, "operator", "later")
    assert routed(started_again(platform).home)[0] == 2
    assert [row["status"] for row in audit.trail(platform.log, AUDIT.c.number == number)] == ["cut_off"]


def test_a_registry_that_is_away_degrades_the_platform_until_it_is_back(
    platform: ControlPlane, registry: InMemoryRegistry
) -> None:
    platform.submit(2, PLAN, "pipeline")
    registry.away = True
    platform.poll()
    days_close(platform, day_differences(0.02, 14))
    assert routed(platform.home) == (1, 2, 0.0)
    for words in ("version 1 keeps serving: the registry", "the verdict is not carried out"):
        assert words in platform.degraded
    assert platform.running(), "nothing ends because the registry is away"
    registry.away = False
    platform.poll()
    assert (platform.degraded, routed(platform.home)) == ("", (2, None, None))
    assert [row[1] for row in trail(platform)].count("promote") == 2, "tried again in the same row"


def test_a_challenger_without_a_whole_package_ends_its_experiment(
    platform: ControlPlane, registry: InMemoryRegistry
) -> None:
    platform.submit(2, PLAN, "pipeline")
    registry.broken = {2, 3}
    platform.poll()
    (one,) = experiment_store.find(platform.log)
    assert (one.state, routed(platform.home)) == ("failed", (1, None, None))
    assert "not the one on record" in one.reason
    with pytest.raises(PackageError):
        platform.promote(3, "operator", "a try")
    assert registry.aliases == {CHAMPION: 1}


def test_what_a_person_tries_twice_in_vain_is_twice_on_record_and_the_platform_s_own_tries_once(
    platform: ControlPlane, registry: InMemoryRegistry
) -> None:
    platform.submit(2, PLAN, "pipeline")
    registry.read_only = True
    for reason in ("a try", "another"):
        with pytest.raises(UnavailableError):
            platform.promote(3, "operator", reason)
    days_close(platform, day_differences(0.02, 14))
    for _ in range(5):
        platform.poll()
    platform.follow_alias()
    assert "the verdict is not carried out" in platform.degraded, "also after a step that succeeds"
    vain = [(row["actor"], row["reason"][:7]) for row in audit.trail(platform.log, AUDIT.c.status == "cut_off")]
    assert vain == [("operator", "a try"), ("operator", "another"), ("platform", "better:")]
    registry.read_only = False
    platform.poll()
    assert trail(platform)[-2][:3] == ("platform", "promote", 2)
    assert trail(platform)[-2][-1] == "done"


def test_a_roll_back_to_the_version_that_is_tried_is_no_promotion(platform: ControlPlane) -> None:
    for number in (2, 3):
        platform.promote(number, "operator", "try")
    platform.submit(2, PLAN, "pipeline")
    assert platform.roll_back("operator", "no good") == 2
    (one,) = experiment_store.find(platform.log)
    assert (one.state, one.reason) == ("stopped", "the champion is now version 2")
    assert platform.degraded == ""


def test_where_the_alias_was_removed_no_untried_version_becomes_the_champion(
    platform: ControlPlane, registry: InMemoryRegistry
) -> None:
    registry.delete_alias(CHAMPION)
    platform.poll()
    assert "version 1 keeps serving: the alias champion names no version" in platform.degraded
    assert b"platform_degraded 1.0" in platform_metrics(platform)
    with pytest.raises(UserError, match="Remedy: make promote VERSION=1"):
        platform.submit(2, PLAN, "pipeline")
    assert (registry.aliases, routed(platform.home)) == ({}, (1, None, None))
    platform.promote(1, "operator", "back")
    assert b"platform_degraded 0.0" in platform_metrics(platform)
    assert platform.submit(2, PLAN, "pipeline")


def test_a_challenger_that_violates_a_guardrail_is_stopped_once_the_registry_can_be_written(
    platform: ControlPlane, registry: InMemoryRegistry
) -> None:
    running = platform.submit(2, PLAN, "pipeline")
    assert running
    insert(platform.log, INFERENCE_BATCHES, [batch(running.experiment, failed=20)] * 60)
    registry.read_only = True
    platform.poll()
    assert "the guardrails are not checked" in platform.degraded
    registry.read_only = False
    platform.poll()
    (one,) = experiment_store.find(platform.log)
    assert (one.state, platform.degraded) == ("failed", "")
    assert "1,200 of 1,200" in one.reason


def test_a_log_that_fails_ends_no_poll_and_is_named_until_it_is_back(
    platform: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.submit(2, PLAN, "pipeline")
    platform.poll()  # from the second one on, nothing that was cut off is looked for
    with monkeypatch.context() as broken:
        broken.setattr(platform, "log", sa.create_engine(f"sqlite:///{platform.home}/gone/log.db"))
        platform.poll()
    for words in ("version 1 keeps serving", "the guardrails are not checked"):
        assert f"{words}: (sqlite3.OperationalError) unable to open database file" in platform.degraded
    platform.poll()
    assert platform.degraded == ""


@pytest.mark.parametrize("stored", ['{"alpha": 0.05, "patience": 3}', "[1", '{"alpha": 7}'])
def test_an_experiment_whose_plan_cannot_be_read_is_ended_and_the_platform_goes_on(
    platform: ControlPlane, stored: str
) -> None:
    """A later version has stored a field that this one does not know, perhaps."""
    platform.submit(2, PLAN, "pipeline")
    with platform.log.begin() as connection:
        connection.execute(EXPERIMENTS.update().values(plan=stored))
    again = started_again(platform)
    assert again.degraded == ""
    assert routed(again.home) == (1, None, None)
    (one,) = experiment_store.find(again.log)
    assert one.state == "stopped"
    assert "its record cannot be read" in one.reason
    with again.log.connect() as connection:
        assert connection.execute(sa.select(EXPERIMENTS.c.state)).scalar_one() == "stopped"
    ends = [row for row in trail(again) if row[1] == audit.STOP]
    assert ends == [("platform", audit.STOP, 2, one.experiment, "running", "stopped", "done")]
    assert again.submit(3, PLAN, "pipeline"), "another one can be tried"


GARBLED = {
    "empty": "",
    "half": '{"generation": 4, "cham',
    "of another version": '{"generation": 9, "model": 1}',
    "gone": None,
}


@pytest.mark.parametrize("content", GARBLED.values(), ids=GARBLED)
def test_garbled_routes_are_written_again_while_it_runs_and_when_it_starts(
    platform: ControlPlane, registry: InMemoryRegistry, content: str | None
) -> None:
    platform.submit(2, PLAN, "pipeline", expected=1)
    before, file = read_routes(platform.home), platform.home / ROUTES

    def garble() -> None:
        file.unlink() if content is None else file.write_text(content)

    garble()
    registry.away = True  # while it runs, the platform needs no registry for that
    platform.poll()
    assert read_routes(platform.home) == before
    assert f"{file} was garbled" in platform.degraded
    garble()
    again = started_again(platform)
    assert "nothing serves" in again.degraded
    assert (f"{file} is garbled" in again.degraded) == (content is not None)
    registry.away = False
    again.poll()
    again.poll()
    assert (again.degraded, routed(again.home)) == ("", (1, 2, 0.0))


def test_a_poll_verifies_each_package_once(platform: ControlPlane, registry: InMemoryRegistry) -> None:
    platform.submit(2, PLAN, "pipeline")
    platform.poll()  # the first one after a start does more
    registry.pulled.clear()
    platform.poll()
    assert sorted(registry.pulled) == [1, 2]


def test_a_version_that_a_person_promotes_against_a_verdict_or_a_gate_is_so_on_record(platform: ControlPlane) -> None:
    platform.submit(2, PLAN, "pipeline")
    days_close(platform, day_differences(-0.02, 14))
    against = ["was rejected in 2-against-1-no1", "", "was refused by the gate quality", "was never at the gates"]
    assert [platform.promote(number, "operator", "I know better") for number in (2, 3, 4, 5)] == against
    reasons = [row["reason"] for row in audit.trail(platform.log) if row["action"] == "promote"]
    assert reasons[1:] == [f"I know better; although it {one}" if one else "I know better" for one in against]
