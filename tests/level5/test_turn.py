"""A turn that is cut off anywhere, and taken up again, has decided, done and told the same as one that was not."""

import contextlib
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import uvicorn
from filelock import FileLock

from level2_devops import address_of, open_socket
from level3_training_pipeline import registry
from level4_deployment import experiments
from level4_deployment.access import make_tokens
from level4_deployment.api import create_api
from level4_deployment.client import ADDRESSES, LOCK
from level4_deployment.control import Platform
from level4_deployment.log import PREDICTIONS, open_log, url_of
from level4_deployment.outcomes import ingest
from level4_deployment.plan import Plan
from level4_deployment.serve import api_server
from level5_monitoring import flow, home, monitor, outbox, record
from level5_monitoring.finding import Finding
from level5_monitoring.loop import Loop
from level5_monitoring.policy import Decision
from level5_monitoring.reference import Reference
from shared.settings import Settings
from tests.level4.conftest import Registry, plan, registered, registry_  # noqa: F401 - fixtures

DAY = "2013-03-04"
NEVER = 10**9


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
        folder = home.platform(settings)
        make_tokens(folder)
        for alias in dict(registry_.client.get_registered_model(registry.MODEL).aliases):
            registry_.client.delete_registered_model_alias(registry.MODEL, alias)
        platform = Platform(folder, lambda: registry_.client, open_log(url_of(folder)), approval=True)
        platform.submit(1, None, "pipeline")
        found = scenario(platform, plan)
        a_day_closes(platform)
        listening = stack.enter_context(open_socket())
        stack.enter_context(api_server(uvicorn.Config(create_api(platform), log_config=None), listening))
        stack.enter_context(FileLock(folder / LOCK))
        (folder / ADDRESSES).write_text(json.dumps({"control": address_of(listening)}))
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


@contextlib.contextmanager
def opened(settings: Settings, reference: Reference) -> Iterator[Loop]:
    """A loop of a process of its own."""
    loop = Loop(settings, reference)
    try:
        yield loop
    finally:
        loop.control.http.close()
        loop.log.dispose()


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
    told = (home.own(settings) / "alerts.jsonl").read_text().splitlines()
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
