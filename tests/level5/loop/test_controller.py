"""A turn that is cut off anywhere, and taken up again, has decided, done and told the same as one that was not."""

import contextlib
import errno
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from level3_training_pipeline.tracking import registry
from level4_deployment.control.control_plane import ControlPlane
from level4_deployment.experiment import experiment_store
from level4_deployment.experiment.design import Plan
from level4_deployment.experiment.labels import ingest
from level4_deployment.prediction_log import PREDICTIONS
from level5_monitoring import config
from level5_monitoring.loop import flow, loop_store, outbox
from level5_monitoring.loop.controller import LoopController
from level5_monitoring.loop.policy import Decision
from level5_monitoring.monitors import daily
from level5_monitoring.monitors.monitor_result import MonitorResult
from level5_monitoring.monitors.reference import Reference
from shared.settings import Settings
from tests.level4.conftest import Registry, plan, registry_, three_versions  # noqa: F401 - fixtures
from tests.level5.served import opened, serve_platform

DAY = "2013-03-04"
NEVER = 10**9


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry of this file's own: one of level 4's tests would outlive them here, and its environment with it."""
    with three_versions(tmp_path_factory.mktemp("level4")) as made:
        yield made


class CutOff(BaseException):
    """The process is gone."""


def alarm(monitor: Any, target: str) -> MonitorResult:
    return MonitorResult(DAY, monitor, target, "alarm", "it is off", 900, 0.5, 0.1)


def roll_back(platform: ControlPlane, _plan: Plan) -> list[MonitorResult]:
    """Version 3 is a disaster, after 2, after 1."""
    for number in (2, 3):
        platform.promote(number, "operator", "try")
    return [alarm("severe_regression", "version 3")]


def promote_a_winner(platform: ControlPlane, plan: Plan) -> list[MonitorResult]:  # noqa: F811
    """Version 2 has won, and waits."""
    made = platform.submit(2, plan, "pipeline")
    assert made
    experiment_store.save(platform.log, replace(made, state=experiment_store.APPROVAL, reason="better"))
    return []


def promote_a_tie(platform: ControlPlane, plan: Plan) -> list[MonitorResult]:  # noqa: F811
    """Version 2 was no worse."""
    made = platform.submit(2, plan, "pipeline")
    assert made
    day = {"day": "2013-03-03", "flights": 900, "mean_loss_difference": 0.001, "champion_arm": 0, "challenger_arm": 0}
    with platform.log.begin() as connection:
        connection.execute(experiment_store.DAYS.insert(), day | {"experiment": made.experiment})
    platform.stop("platform", "not proven", experiment_store.INCONCLUSIVE)
    return []


def stop(platform: ControlPlane, plan: Plan) -> list[MonitorResult]:  # noqa: F811
    """Version 2 is tried on data that cannot be."""
    platform.submit(2, plan, "pipeline")
    return [alarm("contract", "temp")]


Scenario = Callable[[ControlPlane, Plan], list[MonitorResult]]
Play = Callable[[Scenario, str, int], dict[str, Any]]


@pytest.fixture
def play(
    registry_: Registry,  # noqa: F811
    plan: Plan,  # noqa: F811
    reference: Reference,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Play]:
    """Play a scenario on a platform of its own, cut off after the n-th call of a function; then go on."""
    stack = ExitStack()

    def play(scenario: Scenario, after: str, calls: int) -> dict[str, Any]:
        settings = Settings(registry_.settings.today, None, tmp_path / f"{after}-{calls}", within="level5")
        for alias in dict(registry_.client.get_registered_model(registry.MODEL).aliases):
            registry_.client.delete_registered_model_alias(registry.MODEL, alias)
        platform = serve_platform(settings, registry_.client, stack)
        platform.submit(1, None, "pipeline")
        found = scenario(platform, plan)
        a_day_closes(platform)
        with monkeypatch.context() as patched:
            patched.setattr(daily, "run_monitors", lambda *_: found)
            patched.setattr(LoopController, "judge_champion", lambda *_: [])
            with patched.context() as killed:
                cut_off(killed, after, calls)
                with contextlib.suppress(CutOff), opened(settings, reference) as loop:
                    list(flow.catch_up(loop))
            with opened(settings, reference) as loop:
                list(flow.catch_up(loop))
        return what_became_of_it(platform, settings)

    with stack:
        yield play


def a_day_closes(platform: ControlPlane) -> None:
    at = pd.Timestamp(DAY, tz="America/New_York") + pd.Timedelta(hours=12)
    row = {"request_id": "1", "flight_id": "1", "departs_at": at.timestamp(), "asked_at": 1.0, "request_payload": "{}"}
    answer = {"arm": "champion", "propensity": 1.0, "version": 1, "probability": 0.5, "fallback": "", "seconds": 0.001}
    with platform.log.begin() as connection:
        connection.execute(PREDICTIONS.insert(), row | answer)
    ingest(platform.log, [], (at + pd.Timedelta(hours=36)).timestamp())


def cut_off(patched: pytest.MonkeyPatch, after: str, calls: int) -> None:
    """The process is gone right after so many calls of this function."""
    where: Any = {
        "record_decision": loop_store,
        "close_decision": loop_store,
        "deliver": outbox,
        "act": LoopController,
    }[after]
    real, made = getattr(where, after), []

    def last(*given: Any, **named: Any) -> Any:
        result = real(*given, **named)
        made.append(result)
        if len(made) == calls:
            raise CutOff
        return result

    patched.setattr(where, after, last)


def what_became_of_it(platform: ControlPlane, settings: Settings) -> dict[str, Any]:
    """All that a person could see."""
    file = config.own(settings) / "alerts.jsonl"
    told = file.read_text().splitlines() if file.exists() else []
    names = ("actor", "action", "old_value", "new_value", "status")
    return {
        "decisions": loop_store.decisions(platform.log),
        "trail": [tuple(act[name] for name in names) for act in experiment_store.acts(platform.log)],
        "told": [json.loads(line)["title"] for line in told],
        "experiments": [one.state for one in experiment_store.find(platform.log)],
        "champion": platform.routes and platform.routes.champion.version,
    }


ENDS: dict[Scenario, tuple[str, int, list[str]]] = {
    roll_back: ("roll_back", 2, []),
    promote_a_winner: ("promote", 2, ["promoted"]),
    promote_a_tie: ("promote", 2, ["inconclusive"]),
    stop: ("halt_experiment", 1, ["invalidated"]),
}


@pytest.mark.parametrize("scenario", ENDS, ids=lambda scenario: scenario.__name__)
def test_cut_off_anywhere_it_ends_the_same(play: Play, scenario: Scenario) -> None:
    """After the decision, after people were told, after the act, after the result is on record."""
    whole = play(scenario, "record_decision", NEVER)
    kind, champion, tried = ENDS[scenario]
    assert [one["kind"] for one in whole["decisions"]] == [kind]
    assert (whole["champion"], whole["experiments"]) == (champion, tried)
    assert whole["told"]
    for after, calls in (("record_decision", 1), ("deliver", 2), ("act", 1), ("close_decision", 1), ("deliver", 3)):
        assert play(scenario, after, calls) == whole, f"cut off after {after}"


def test_a_page_does_not_wait_for_the_act(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may take minutes."""
    told_before = []

    def act(loop: LoopController, _decision: Decision) -> dict[str, Any]:
        told_before.append((config.own(loop.settings) / "alerts.jsonl").read_text())
        return {}

    monkeypatch.setattr(LoopController, "act", act)
    play(stop, "record_decision", NEVER)
    assert "contract alarm begins" in told_before[0]


def test_another_promotion_in_between_is_not_undone(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody was faster than the loop: what it decided about is not there any more, and it says so."""
    decide = LoopController.decide

    def and_then_somebody_acts(loop: LoopController, day: str) -> Any:
        decision = decide(loop, day)
        (tried,) = experiment_store.find(loop.log)
        experiment_store.save(loop.log, replace(tried, state=experiment_store.INVALIDATED, reason="by hand"))
        return decision

    monkeypatch.setattr(LoopController, "decide", and_then_somebody_acts)
    found = play(promote_a_winner, "record_decision", NEVER)
    assert found["champion"] == 1
    assert found["decisions"][0]["result"] == {"refused": "1-against-2-no1 is invalidated by now"}
    assert found["told"][-1] == "promote refused"


@pytest.mark.parametrize(
    ("where", "error", "message"),
    [
        (LoopController, OSError(errno.ENOSPC, "disk full"), "OSError: [Errno 28] disk full"),
        (ControlPlane, OSError(errno.ENOSPC, "disk full"), "/rollback: 503: registry or log cannot be had"),
        (ControlPlane, RuntimeError("a bug"), "/rollback: 500: the platform at http"),  # its answer is no JSON
    ],
)
def test_an_act_that_fails_in_whatever_way_is_told_and_left_until_the_next_day(
    play: Play, monkeypatch: pytest.MonkeyPatch, where: type, error: Exception, message: str
) -> None:
    """The second start does not try again."""
    tried = []

    def fail(*_: object) -> Any:
        tried.append(1)
        raise error

    monkeypatch.setattr(where, "roll_back" if where is ControlPlane else "_roll_back", fail)
    found = play(roll_back, "record_decision", NEVER)
    assert len(tried) == 1
    assert message in found["decisions"][0]["result"]["failed"]
    assert found["told"] == ["severe_regression alarm begins", "roll_back", "roll_back failed"]
    assert found["champion"] == 3


def test_who_interrupts_an_act_has_it_done_at_the_next_start(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C and the end of a flow that was cancelled are no failures."""
    real, tried = LoopController._roll_back, []

    def interrupted(loop: LoopController, decision: Decision) -> dict[str, Any]:
        tried.append(decision)
        if len(tried) == 1:
            raise CutOff
        return real(loop, decision)

    monkeypatch.setattr(LoopController, "_roll_back", interrupted)
    found = play(roll_back, "record_decision", NEVER)
    assert found["decisions"][0]["result"] == {"version": 2}
    assert "roll back failed" not in found["told"]


def test_what_is_on_record_is_what_is_done(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two loops that decide on a day, the second does what the first has written down."""
    real = loop_store.record_decision

    def and_another_was_first(log: Any, decision: Decision, *rest: Any) -> Decision:
        real(log, replace(decision, kind="no_action", reason="another loop's."), [], [])
        return real(log, decision, *rest)

    monkeypatch.setattr(loop_store, "record_decision", and_another_was_first)
    found = play(roll_back, "record_decision", NEVER)
    assert (found["champion"], found["told"]) == (3, [])
