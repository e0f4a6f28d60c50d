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

from level3_training_pipeline import registry
from level4_deployment import experiments
from level4_deployment.control import Platform
from level4_deployment.log import PREDICTIONS
from level4_deployment.outcomes import ingest
from level4_deployment.plan import Plan
from level5_monitoring import flow, home, monitor, outbox, record
from level5_monitoring.finding import Finding
from level5_monitoring.loop import Loop
from level5_monitoring.policy import Decision
from level5_monitoring.reference import Reference
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


def alarm(monitor: Any, subject: str) -> Finding:
    return Finding(DAY, monitor, subject, "alarm", "it is off", 900, 0.5, 0.1)


def roll_back(platform: Platform, _plan: Plan) -> list[Finding]:
    """Version 3 is a disaster, after 2, after 1."""
    for number in (2, 3):
        platform.promote(number, "operator", "try")
    return [alarm("disaster", "version 3")]


def promote_a_winner(platform: Platform, plan: Plan) -> list[Finding]:  # noqa: F811
    """Version 2 has won, and waits."""
    made = platform.submit(2, plan, "pipeline")
    assert made
    experiments.save(platform.log, replace(made, state=experiments.APPROVAL, reason="better"))
    return []


def promote_a_tie(platform: Platform, plan: Plan) -> list[Finding]:  # noqa: F811
    """Version 2 was no worse."""
    made = platform.submit(2, plan, "pipeline")
    assert made
    day = {"day": "2013-03-03", "flights": 900, "difference": 0.001, "champion_arm": 0, "challenger_arm": 0}
    with platform.log.begin() as connection:
        connection.execute(experiments.DAYS.insert(), day | {"experiment": made.experiment})
    platform.stop("platform", "not proven", experiments.INCONCLUSIVE)
    return []


def stop(platform: Platform, plan: Plan) -> list[Finding]:  # noqa: F811
    """Version 2 is tried on data that cannot be."""
    platform.submit(2, plan, "pipeline")
    return [alarm("contract", "temp")]


Scenario = Callable[[Platform, Plan], list[Finding]]
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
            patched.setattr(monitor, "look", lambda *_: found)
            patched.setattr(Loop, "judge_champion", lambda *_: [])
            with patched.context() as killed:
                cut_off(killed, after, calls)
                with contextlib.suppress(CutOff), opened(settings, reference) as loop:
                    list(flow.catch_up(loop))
            with opened(settings, reference) as loop:
                list(flow.catch_up(loop))
        return what_became_of_it(platform, settings)

    with stack:
        yield play


def a_day_closes(platform: Platform) -> None:
    at = pd.Timestamp(DAY, tz="America/New_York") + pd.Timedelta(hours=12)
    row = {"request_id": "1", "flight_id": "1", "departs_at": at.timestamp(), "asked_at": 1.0, "features": "{}"}
    answer = {"arm": "champion", "propensity": 1.0, "version": 1, "probability": 0.5, "fallback": "", "seconds": 0.001}
    with platform.log.begin() as connection:
        connection.execute(PREDICTIONS.insert(), row | answer)
    ingest(platform.log, [], (at + pd.Timedelta(hours=36)).timestamp())


def cut_off(patched: pytest.MonkeyPatch, after: str, calls: int) -> None:
    """The process is gone right after so many calls of this function."""
    where: Any = {"record": record, "close": record, "deliver": outbox, "act": Loop}[after]
    real, made = getattr(where, after), []

    def last(*given: Any, **named: Any) -> Any:
        result = real(*given, **named)
        made.append(result)
        if len(made) == calls:
            raise CutOff
        return result

    patched.setattr(where, after, last)


def what_became_of_it(platform: Platform, settings: Settings) -> dict[str, Any]:
    """All that a person could see."""
    file = home.own(settings) / "alerts.jsonl"
    told = file.read_text().splitlines() if file.exists() else []
    names = ("who", "act", "before", "after", "done")
    return {
        "decisions": record.decisions(platform.log),
        "trail": [tuple(act[name] for name in names) for act in experiments.acts(platform.log)],
        "told": [json.loads(line)["title"] for line in told],
        "experiments": [one.state for one in experiments.find(platform.log)],
        "champion": platform.routes and platform.routes.champion.version,
    }


ENDS: dict[Scenario, tuple[str, int, list[str]]] = {
    roll_back: ("roll back", 2, []),
    promote_a_winner: ("promote", 2, ["promoted"]),
    promote_a_tie: ("promote", 2, ["inconclusive"]),
    stop: ("stop", 1, ["void"]),
}


@pytest.mark.parametrize("scenario", ENDS, ids=lambda scenario: scenario.__name__)
def test_cut_off_anywhere_it_ends_the_same(play: Play, scenario: Scenario) -> None:
    """After the decision, after people were told, after the act, after the result is on record."""
    whole = play(scenario, "record", NEVER)
    kind, champion, tried = ENDS[scenario]
    assert [one["kind"] for one in whole["decisions"]] == [kind]
    assert (whole["champion"], whole["experiments"]) == (champion, tried)
    assert whole["told"]
    for after, calls in (("record", 1), ("deliver", 2), ("act", 1), ("close", 1), ("deliver", 3)):
        assert play(scenario, after, calls) == whole, f"cut off after {after}"


def test_a_page_does_not_wait_for_the_act(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may take minutes."""
    told_before = []

    def act(loop: Loop, _decision: Decision) -> dict[str, Any]:
        told_before.append((home.own(loop.settings) / "alerts.jsonl").read_text())
        return {}

    monkeypatch.setattr(Loop, "act", act)
    play(stop, "record", NEVER)
    assert "contract alarm begins" in told_before[0]


def test_another_promotion_in_between_is_not_undone(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody was faster than the loop: what it decided about is not there any more, and it says so."""
    decide = Loop.decide

    def and_then_somebody_acts(loop: Loop, day: str) -> Any:
        decision = decide(loop, day)
        (tried,) = experiments.find(loop.log)
        experiments.save(loop.log, replace(tried, state=experiments.VOID, reason="by hand"))
        return decision

    monkeypatch.setattr(Loop, "decide", and_then_somebody_acts)
    found = play(promote_a_winner, "record", NEVER)
    assert found["champion"] == 1
    assert found["decisions"][0]["result"] == {"refused": "1-against-2-no1 is void by now"}
    assert found["told"][-1] == "promote refused"


@pytest.mark.parametrize(
    ("where", "error", "says"),
    [
        (Loop, OSError(errno.ENOSPC, "disk full"), "OSError: [Errno 28] disk full"),
        (Platform, OSError(errno.ENOSPC, "disk full"), "/rollback: 503: registry or log cannot be had"),
        (Platform, RuntimeError("a bug"), "/rollback: 500: the platform at http"),  # its answer is no JSON
    ],
)
def test_an_act_that_fails_in_whatever_way_is_told_and_left_until_the_next_day(
    play: Play, monkeypatch: pytest.MonkeyPatch, where: type, error: Exception, says: str
) -> None:
    """The second start does not try again."""
    tried = []

    def fail(*_: object) -> Any:
        tried.append(1)
        raise error

    monkeypatch.setattr(where, "roll_back" if where is Platform else "_roll_back", fail)
    found = play(roll_back, "record", NEVER)
    assert len(tried) == 1
    assert says in found["decisions"][0]["result"]["failed"]
    assert found["told"] == ["disaster alarm begins", "roll back", "roll back failed"]
    assert found["champion"] == 3


def test_who_interrupts_an_act_has_it_done_at_the_next_start(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C and the end of a flow that was cancelled are no failures."""
    real, tried = Loop._roll_back, []

    def interrupted(loop: Loop, decision: Decision) -> dict[str, Any]:
        tried.append(decision)
        if len(tried) == 1:
            raise CutOff
        return real(loop, decision)

    monkeypatch.setattr(Loop, "_roll_back", interrupted)
    found = play(roll_back, "record", NEVER)
    assert found["decisions"][0]["result"] == {"version": 2}
    assert "roll back failed" not in found["told"]


def test_what_is_on_record_is_what_is_done(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two loops that decide on a day, the second does what the first has written down."""
    real = record.record

    def and_another_was_first(log: Any, decision: Decision, *rest: Any) -> Decision:
        real(log, replace(decision, kind="nothing", reason="another loop's."), [], [])
        return real(log, decision, *rest)

    monkeypatch.setattr(record, "record", and_another_was_first)
    found = play(roll_back, "record", NEVER)
    assert (found["champion"], found["told"]) == (3, [])
