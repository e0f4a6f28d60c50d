"""What `make level4` may say, and when it must end with an error: in no run does it claim what was not seen."""

import math
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from level4_deployment.delivery.flow import Deployed
from level4_deployment.delivery.gates import Gate, Report
from level4_deployment.demo import report
from level4_deployment.demo.console_view import in_a_line, show_digests
from level4_deployment.demo.drills import Kill, RollBack, answers_after
from level4_deployment.experiment.design import Plan
from level4_deployment.experiment.experiment_store import Experiment
from level4_deployment.replay_client import ReplayStats
from shared.errors import UserError

FIRST, ANOTHER = date(2013, 4, 1), date(2013, 7, 1)
DEPLOYED = Deployed(2, "a" * 64, Report("a" * 64, [Gate("parity", passed=True, seen="equal")], Plan()), "1-against-2")
SERVED = {stage: {"a" * 64} for stage in ("production", "live", "shadow")}


def experiment(challenger: int, state: str) -> Experiment:
    return Experiment("e", 1, challenger, "e", 0.1, Plan(), None, state, "", "test")


def broken(today: date, better: str, worse: str, served: dict[str, set[str]] = SERVED) -> str:
    """What the run ends with; nothing when all that must hold does."""
    stages = show_digests(DEPLOYED, served)
    try:
        report.must_hold(report.verdicts(today, experiment(2, better), experiment(4, worse), stages))
    except UserError as error:
        return str(error)
    return ""


def test_the_story_holds_with_both_verdicts_and_one_digest_at_five_stages() -> None:
    assert broken(FIRST, "promoted", "rejected") == ""
    stages = show_digests(DEPLOYED, SERVED)
    assert in_a_line(stages) == "train > test > shadow > live > production: 1 digest, aaaaaaaa, at 5 stages"


@pytest.mark.parametrize(
    ("better", "worse", "told"),
    [
        ("inconclusive", "rejected", r"version 2 is promoted \(it is inconclusive\)"),
        ("promoted", "running", r"version 4 is rejected \(it is running\)"),
        ("promoted", "promoted", r"version 4 is rejected \(it is promoted\)"),
        ("aborted", "rejected", r"version 2 is promoted \(it is aborted\)"),
    ],
)
def test_another_verdict_than_the_storys_is_an_error(better: str, worse: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        report.must_hold(report.verdicts(FIRST, experiment(2, better), experiment(4, worse), SERVED))


def test_as_of_another_day_a_month_more_need_not_be_proven_better_but_a_leak_never_wins() -> None:
    not_reached = {stage: seen for stage, seen in SERVED.items() if stage != "production"}
    assert broken(ANOTHER, "inconclusive", "rejected", not_reached) == ""
    assert broken(ANOTHER, "promoted", "inconclusive") == ""
    assert "version 4 is" in broken(ANOTHER, "promoted", "promoted")
    assert "version 2 is" in broken(ANOTHER, "running", "rejected", not_reached)


def test_a_stage_that_was_not_seen_or_that_saw_another_package_is_an_error() -> None:
    assert "seen: train > test > live > production" in broken(
        FIRST, "promoted", "rejected", {"live": {"a" * 64}, "production": {"a" * 64}}
    )
    other = SERVED | {"production": {"a" * 64, "b" * 64}}
    assert "one digest at every stage" in broken(FIRST, "promoted", "rejected", other)
    tested = replace(DEPLOYED, report=replace(DEPLOYED.report, digest="c" * 64))
    assert "2 digests" in in_a_line(show_digests(tested, SERVED))


def test_bad_candidates_that_are_let_through_are_counted_as_such(capsys: pytest.CaptureFixture[str]) -> None:
    assert report.show_gates(DEPLOYED, {"damaged": "it was touched", "ten trees": ""}).endswith(
        "1 of 2 bad candidates refused"
    )
    assert "LET THROUGH" in capsys.readouterr().out


def test_everything_that_did_not_hold_is_named() -> None:
    with pytest.raises(UserError, match="not seen in this run: no request fails; one digest"):
        report.must_hold({"no request fails": False, "the gates refuse both": True, "one digest": False})


def test_two_months_are_told_of_as_one_and_what_failed_in_either_is_a_broken_claim() -> None:
    april, may = (
        ReplayStats(3, 0, 500, 400, {1: 500}, [{"kind": "promote"}], "a"),
        ReplayStats(2, 1, 100, 90, {1: 60, 2: 40}),
    )
    played = april + may
    assert str(played) == "1 of 5 requests for 600 flights failed"
    assert (played.labels, played.by_version, played.verdicts) == (490, {1: 560, 2: 40}, [{"kind": "promote"}])
    claims = report.claims(
        played, RollBack(1, 9, 0, 0.1, 0.1), Kill(9, 5, 2.0), {"ten trees": "", "one bit": "altered"}
    )
    assert list(claims.values()) == [False, True, True, True, False, False]
    fine = report.claims(april, RollBack(1, 9, 0, 0.1, 0.1), Kill(9, 4, 2.0), {"ten trees": "worse"})
    assert all(fine.values())


def test_an_answer_before_the_command_is_none_of_the_version_that_is_back() -> None:
    rows: list[list[Any]] = [[98.0, 5, 200, 1], [99.0, 5, 200, 2], [100.5, 5, 200, 2], [100.6, 5, 0, "cut"]]
    first, last = answers_after(rows, 100.0, 1)
    assert (math.isnan(first), last) == (True, 0.5)
    assert answers_after([*rows, [101.0, 5, 200, 1]], 100.0, 1) == (1.0, 0.5)


@pytest.mark.parametrize(
    ("drill", "kill"),
    [
        (RollBack(1, 0, 0, 0.1, 0.1), Kill(9, 0, 2.0)),
        (RollBack(1, 9, 0, 0.1, 0.1), Kill(0, 0, 2.0)),
        (RollBack(1, 9, 0, math.nan, 0.1), Kill(9, 0, 2.0)),
        (RollBack(1, 9, 0, 0.1, math.nan), Kill(9, 0, 2.0)),
        (RollBack(1, 9, 0, 0.1, 12.0), Kill(9, 0, 2.0)),
    ],
    ids=["nobody asks", "nobody asks while a worker is killed", "it never answers", "no other was there", "too late"],
)
def test_a_drill_that_shows_nothing_is_a_broken_claim(drill: RollBack, kill: Kill) -> None:
    claims = report.claims(ReplayStats(3, 0, 500, 400, {1: 500}, [], "a"), drill, kill, {"ten trees": "worse"})
    assert list(claims.values()).count(False) == 1
