"""A day whose run is cut off anywhere and continued ends like one that was not: same decision, acts and alerts."""

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
from level4_deployment.control import audit
from level4_deployment.control.api import ReasonIn
from level4_deployment.control.control_plane import ControlPlane
from level4_deployment.delivery.flow import Deployed
from level4_deployment.delivery.gates import Report
from level4_deployment.experiment import experiment_store
from level4_deployment.experiment.design import Plan, Verdict
from level4_deployment.experiment.labels import ingest
from level4_deployment.prediction_log import PREDICTIONS
from level5_monitoring import config
from level5_monitoring.loop import controller, flow, loop_store, outbox
from level5_monitoring.loop.controller import LoopController, truncate_reason
from level5_monitoring.loop.policy import Decision, PolicyState, decide
from level5_monitoring.monitors.monitor_result import MonitorResult, State
from level5_monitoring.monitors.reference import Reference
from shared.settings import Settings
from tests.factories import insert, monitor_result, prediction
from tests.level4.registries import Registry, three_versions
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


def roll_back(platform: ControlPlane, _plan: Plan) -> list[MonitorResult]:
    """Version 3 is far worse than 2, which replaced 1."""
    for number in (2, 3):
        platform.promote(number, "operator", "try")
    return [monitor_result("severe_regression", day=DAY)]


def promote_a_winner(platform: ControlPlane, plan: Plan) -> list[MonitorResult]:
    """Version 2 has won, and awaits approval."""
    made = platform.submit(2, plan, "pipeline")
    assert made
    experiment_store.save(platform.log, replace(made, state=experiment_store.APPROVAL, reason="better"))
    return []


def promote_after_an_inconclusive_experiment(platform: ControlPlane, plan: Plan) -> list[MonitorResult]:
    """Version 2 was shown to be no worse by the margin, but not to be better."""
    made = platform.submit(2, plan, "pipeline")
    assert made
    verdict = Verdict("inconclusive", 14, 9_000, mean=0.001, z=0.6, boundary=1.7, least=-0.003, non_inferior=True)
    experiment_store.save(platform.log, replace(made, verdict=verdict))
    platform.stop("platform", "not proven", experiment_store.INCONCLUSIVE)
    return []


def stop(platform: ControlPlane, plan: Plan) -> list[MonitorResult]:
    """Version 2 is compared on data that violate the contract."""
    platform.submit(2, plan, "pipeline")
    return [monitor_result("contract", day=DAY)]


Scenario = Callable[[ControlPlane, Plan], list[MonitorResult]]
Play = Callable[[Scenario, str, int], dict[str, Any]]


@pytest.fixture
def play(
    registry_: Registry,
    plan: Plan,
    reference: Reference,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Play]:
    """Play a scenario on a platform of its own, cut off after the n-th call of a function; then go on."""
    stack = ExitStack()

    def play(scenario: Scenario, after: str, calls: int) -> dict[str, Any]:
        settings = Settings(registry_.settings.today, None, tmp_path / f"{after}-{calls}", "level5")
        for alias in dict(registry_.client.get_registered_model(registry.MODEL).aliases):
            registry_.client.delete_registered_model_alias(registry.MODEL, alias)
        platform = serve_platform(settings, registry_.client, stack)
        platform.submit(1, None, "pipeline")
        found = scenario(platform, plan)
        close_a_day(platform)
        with monkeypatch.context() as patched:
            patched.setattr(LoopController, "run_monitors", lambda *_: found)
            with patched.context() as killed:
                cut_off(killed, after, calls)
                with contextlib.suppress(CutOff), opened(settings, reference) as loop:
                    list(flow.catch_up(loop))
            with opened(settings, reference) as loop:
                list(flow.catch_up(loop))
        return what_became_of_it(platform, settings)

    with stack:
        yield play


def close_a_day(platform: ControlPlane) -> None:
    at = pd.Timestamp(DAY, tz="America/New_York") + pd.Timedelta(hours=12)
    insert(platform.log, PREDICTIONS, prediction(departs_at=at.timestamp()))
    ingest(platform.log, [], (at + pd.Timedelta(hours=36)).timestamp())


def cut_off(patched: pytest.MonkeyPatch, after: str, calls: int) -> None:
    where: Any = {"deliver": outbox, "_carry_out": LoopController}.get(after, loop_store)
    real, made = getattr(where, after), []

    def last(*given: Any, **named: Any) -> Any:
        result = real(*given, **named)
        made.append(result)
        if len(made) == calls:
            raise CutOff
        return result

    patched.setattr(where, after, last)


def what_became_of_it(platform: ControlPlane, settings: Settings) -> dict[str, Any]:
    """Everything that a person could see."""
    file = config.own(settings) / "alerts.jsonl"
    told = file.read_text().splitlines() if file.exists() else []
    names = ("actor", "action", "old_value", "new_value", "status")
    return {
        "decisions": loop_store.decisions(platform.log),
        "trail": [tuple(act[name] for name in names) for act in audit.trail(platform.log)],
        "told": [json.loads(line)["title"] for line in told],
        "experiments": [one.state for one in experiment_store.find(platform.log)],
        "champion": platform.routes and platform.routes.champion.version,
    }


ENDS: dict[Scenario, tuple[str, int, list[str]]] = {
    roll_back: ("roll_back", 2, []),
    promote_a_winner: ("promote", 2, ["promoted"]),
    promote_after_an_inconclusive_experiment: ("promote", 2, ["inconclusive"]),
    stop: ("stop_experiment", 1, ["stopped"]),
}


@pytest.mark.parametrize("scenario", ENDS, ids=lambda scenario: scenario.__name__)
def test_cut_off_anywhere_it_ends_the_same(play: Play, scenario: Scenario) -> None:
    """Also within an act, as by Ctrl-C: that is no failure of the act."""
    whole = play(scenario, "record_decision", NEVER)
    kind, champion, tried = ENDS[scenario]
    assert [one["kind"] for one in whole["decisions"]] == [kind]
    assert (whole["champion"], whole["experiments"]) == (champion, tried)
    assert whole["told"]
    for after, calls in (
        ("record_decision", 1),
        ("deliver", 2),
        ("_carry_out", 1),
        ("close_decision", 1),
        ("deliver", 3),
    ):
        assert play(scenario, after, calls) == whole, f"cut off after {after}"


def test_a_retraining_is_told_which_days_to_leave_out(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    def retrain(platform: ControlPlane, _plan: Plan) -> list[MonitorResult]:
        days: dict[str, State] = {"2013-02-26": "alarm", "2013-03-03": "ok"}
        for day, state in days.items():
            found = [monitor_result("contract", state, target="precip", day=day)]
            loop_store.record_decision(platform.log, decide(day, found, PolicyState()), found, [])
            loop_store.close_decision(platform.log, day, {})
        return [monitor_result("calibration", day=DAY), monitor_result("contract", "ok", target="precip", day=DAY)]

    trained = []

    def delivery(*given: Any, averaged: bool) -> Deployed:
        assert averaged
        trained.append(given)
        return Deployed(2, "", Report("", [], None), None)

    monkeypatch.setattr(controller.flow, "delivery", delivery)
    found = play(retrain, "record_decision", NEVER)
    assert [one["kind"] for one in found["decisions"]] == ["stop_experiment", "no_action", "retrain"]
    assert [given[-1] for given in trained] == [["2013-02-26"]]


def test_a_page_does_not_wait_for_the_act(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    """A training may take minutes."""
    told_before = []

    def act(loop: LoopController, _decision: Decision) -> dict[str, Any]:
        told_before.append((config.own(loop.settings) / "alerts.jsonl").read_text())
        return {}

    monkeypatch.setattr(LoopController, "act", act)
    play(stop, "record_decision", NEVER)
    assert "contract alarm begins" in told_before[0]


def test_another_promotion_in_between_is_not_undone(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    """The experiment ended while the loop decided about it: the act is refused, with the reason."""
    real = LoopController.decide

    def and_then_somebody_acts(loop: LoopController, *day: Any) -> Any:
        decision = real(loop, *day)
        (tried,) = experiment_store.find(loop.log)
        experiment_store.save(loop.log, replace(tried, state=experiment_store.STOPPED, reason="by hand"))
        return decision

    monkeypatch.setattr(LoopController, "decide", and_then_somebody_acts)
    found = play(promote_a_winner, "record_decision", NEVER)
    assert found["champion"] == 1
    assert found["decisions"][0]["result"] == {"refused": "2-against-1-no1 is stopped by now"}
    assert found["told"][-1] == "promote refused"


@pytest.mark.parametrize(
    ("where", "error", "message"),
    [
        (LoopController, OSError(errno.ENOSPC, "disk full"), "OSError: [Errno 28] disk full"),
        (ControlPlane, OSError(errno.ENOSPC, "disk full"), "/rollback: 503: registry or log cannot be used"),
        (ControlPlane, RuntimeError("a bug"), "/rollback: 500: the platform at http"),  # its answer is no JSON
    ],
)
def test_an_act_that_fails_in_any_way_has_an_alert_and_waits_for_the_next_day(
    play: Play, monkeypatch: pytest.MonkeyPatch, where: type, error: Exception, message: str
) -> None:
    tried = []

    def fail(*_: object) -> Any:
        tried.append(1)
        raise error

    monkeypatch.setattr(where, "roll_back" if where is ControlPlane else "_roll_back", fail)
    found = play(roll_back, "record_decision", NEVER)
    assert len(tried) == (3 if "503" in message else 1), "a client waits as Retry-After asks, twice"
    assert message in found["decisions"][0]["result"]["failed"]
    assert found["told"] == ["severe regression alarm begins", "roll back", "roll back failed"]
    assert found["champion"] == 3


def test_what_is_on_record_is_what_is_done(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two loops that decide about a day, the second does what the first has recorded."""
    real = loop_store.record_decision

    def and_another_was_first(log: Any, decision: Decision, *rest: Any) -> Decision:
        real(log, replace(decision, kind="no_action", reason="another loop's."), [], [])
        return real(log, decision, *rest)

    monkeypatch.setattr(loop_store, "record_decision", and_another_was_first)
    found = play(roll_back, "record_decision", NEVER)
    assert (found["champion"], found["told"]) == (3, [])


def test_a_long_reason_is_accepted_by_the_platform() -> None:
    """That of many columns in alarm is longer than the audit trail holds."""
    reason = truncate_reason(Decision(DAY, "stop_experiment", "Data contract violated" + 900 * "."))
    assert ReasonIn(reason=reason).reason.startswith(f"decision of {DAY}: Data contract violated")
