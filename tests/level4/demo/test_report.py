"""What `make level4` may claim: a run that did not show all of it ends with an error that names what was missing."""

import math
from collections import Counter
from dataclasses import replace
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from level4_deployment.delivery.flow import Deployed
from level4_deployment.delivery.gates import Gate, Report
from level4_deployment.demo import report
from level4_deployment.demo.console_view import digests_by_stage, digests_in_a_line
from level4_deployment.demo.drills import KillDrill, RollbackDrill
from level4_deployment.demo.report import Claim
from level4_deployment.experiment.design import Plan, Verdict
from level4_deployment.prediction_log import LABELS, PREDICTIONS, QUARANTINED_LABELS, open_log, url_of
from level4_deployment.replay_client import ReplayStats
from shared.errors import UserError
from tests.factories import experiment, insert, label, prediction

STORY, ANOTHER = report.STORY_TODAY, date(2013, 7, 1)
DEPLOYED = Deployed(2, "a" * 64, Report("a" * 64, [Gate("parity", passed=True, seen="equal")], Plan()), "2-against-1")
SERVED = {stage: {"a" * 64} for stage in ("production", "live", "shadow")}
NOT_PROMOTED = {stage: SERVED[stage] for stage in ("live", "shadow")}
REPLAYED = ReplayStats(requests=3, flights=500)
ROLLBACK, KILL = RollbackDrill(1, 9, 0, 0.1, 0.1), KillDrill(9, 4, 2.0)


def missing(claims: list[Claim]) -> list[str]:
    return [claim.name for claim in claims if not claim.shown]


def missing_release(
    today: date = STORY,
    better: str = "promoted",
    worse: str = "rejected",
    served: dict[str, set[str]] = SERVED,
    refusals: dict[str, str] | None = None,
) -> list[str]:
    """The claims about gates, experiments and package that such a run would not have shown."""
    tried = experiment(challenger=2, state=better), experiment(challenger=4, state=worse)
    return missing(
        report.release_claims(today, refusals or {"ten trees": "worse"}, *tried, digests_by_stage(DEPLOYED, served))
    )


def test_a_run_with_both_verdicts_and_one_digest_at_five_stages_shows_all_that_is_claimed() -> None:
    assert missing_release() == []
    assert missing(report.service_claims(REPLAYED, ROLLBACK, KILL)) == []
    stages = digests_by_stage(DEPLOYED, SERVED)
    assert digests_in_a_line(stages) == "aaaaaaaa… at train, test, shadow, live, production"


@pytest.mark.parametrize(
    ("better", "worse", "broken"),
    [
        ("inconclusive", "rejected", ["version 2 is promoted"]),
        ("failed", "rejected", ["version 2 is promoted"]),
        ("promoted", "running", ["version 4 is rejected"]),
        ("promoted", "promoted", ["version 4 is rejected"]),
    ],
)
def test_as_of_the_storys_day_both_verdicts_must_come(better: str, worse: str, broken: list[str]) -> None:
    served = SERVED if better == "promoted" else NOT_PROMOTED
    assert missing_release(STORY, better, worse, served) == broken


def test_as_of_another_day_the_better_model_need_not_be_proven_better_but_the_leak_must_not_win() -> None:
    assert missing_release(ANOTHER, "inconclusive", "rejected", NOT_PROMOTED) == []
    assert missing_release(ANOTHER, "promoted", "inconclusive") == []
    assert missing_release(ANOTHER, "promoted", "promoted") == ["version 4 is rejected or inconclusive"]
    unfinished = missing_release(ANOTHER, "running", "rejected", NOT_PROMOTED)
    assert unfinished == ["version 2 is promoted or rejected or inconclusive"]


def test_a_stage_without_the_package_or_with_another_one_is_a_missing_claim() -> None:
    reached = "the package reaches train > test > shadow > live > production"
    assert missing_release(served={"live": {"a" * 64}, "production": {"a" * 64}}) == [reached]
    assert missing_release(served=SERVED | {"production": {"a" * 64, "b" * 64}}) == ["every stage has the same package"]
    tested = replace(DEPLOYED, report=replace(DEPLOYED.report, digest="c" * 64))
    assert "aaaaaaaa…, cccccccc… at" in digests_in_a_line(digests_by_stage(tested, SERVED))


def test_bad_candidates_that_pass_the_gates_are_counted_and_break_the_claim() -> None:
    refusals = {"damaged": "it was altered", "ten trees": ""}
    assert report.gates_in_a_line(DEPLOYED.report.gates, refusals) == "1 gates; 1 of 2 bad candidates refused"
    assert missing_release(refusals=refusals) == ["the gates refuse every bad candidate"]


def test_the_error_names_every_missing_claim_with_its_evidence() -> None:
    lost, refused, digests = (
        Claim("no request fails", shown=False, evidence="2 of 9"),
        Claim("the gates refuse both", shown=True, evidence=""),
        Claim("one digest", shown=False, evidence="2"),
    )
    with pytest.raises(UserError, match=r"not shown in this run: no request fails \(2 of 9\); one digest \(2\)\."):
        report.check([lost, refused, digests])
    report.check([refused])


def test_the_evidence_of_the_closing_screen_is_short_and_is_that_of_the_run() -> None:
    found = Verdict("promote", day=56, flights=50_859, mean=0.00254, z=1.612)
    promoted = experiment(challenger=2, state="promoted", verdict=found)
    lines = [report.verdict_in_a_line(promoted), str(ROLLBACK), str(KILL)]
    assert lines == [
        "version 2 promoted: +0.0025 nats, z 1.6, day 56",
        "version 1 after 0.10 s; 0 of 9 requests failed",
        "replaced in 2.0 s; 4 of 9 requests lost",
    ]
    assert report.verdict_in_a_line(experiment(challenger=3, state="failed")) == "version 3 failed"


def test_two_months_add_up_to_one_replay_and_a_failure_in_either_breaks_the_claim() -> None:
    april = ReplayStats(3, 0, 500, 400, Counter({1: 500}), [{"kind": "promote"}], "a")
    may = ReplayStats(2, 1, 100, 90, Counter({1: 60, 2: 40}), [], "b")
    both = april + may
    assert str(both) == "1 of 5 requests for 600 flights failed"
    assert (both.labels, both.by_version, both.verdicts) == (490, {1: 560, 2: 40}, [{"kind": "promote"}])
    assert both.last_request == "b"
    assert missing(report.service_claims(both, ROLLBACK, KILL)) == ["no request of the replay fails"]


SLOW = "5 s after the rollback only the restored version answers"


@pytest.mark.parametrize(
    ("rollback", "kill", "broken"),
    [
        (RollbackDrill(1, 0, 0, 0.1, 0.1), KILL, "there is load during the rollback"),
        (RollbackDrill(1, 9, 1, 0.1, 0.1), KILL, "no request fails during the rollback"),
        (RollbackDrill(1, 9, 0, math.nan, 0.1), KILL, SLOW),
        (RollbackDrill(1, 9, 0, 0.1, math.nan), KILL, SLOW),
        (RollbackDrill(1, 9, 0, 0.1, 12.0), KILL, SLOW),
        (RollbackDrill(1, 9, 0, 12.0, 0.1), KILL, SLOW),
        (ROLLBACK, KillDrill(0, 0, 2.0), "there is load while a worker is killed"),
        (ROLLBACK, KillDrill(9, 5, 2.0), "a killed worker loses only the requests it is working on"),
    ],
)
def test_a_drill_that_shows_too_little_breaks_one_claim(rollback: RollbackDrill, kill: KillDrill, broken: str) -> None:
    assert missing(report.service_claims(REPLAYED, rollback, kill)) == [broken]


def test_served_log_loss_is_of_first_predictions_and_undisputed_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(report, "FEWEST_FLIGHTS", 1)
    monkeypatch.delenv("PREDICTION_LOG", raising=False)
    at = pd.Timestamp("2013-04-30 23:30", tz="America/New_York").timestamp()  # in UTC it is May
    rows = [
        prediction("a", departs_at=at, probability=0.25),
        prediction("a", departs_at=at, probability=0.99, asked_at=1.0, request_id="again"),
        prediction("b", departs_at=at, probability=0.5),
        prediction("disputed", departs_at=at, probability=0.01),
        prediction("unlabelled", departs_at=at),
    ]
    with open_log(url_of(tmp_path)) as log:
        insert(log, PREDICTIONS, rows)
        insert(log, LABELS, [label("a"), label("b", late=1), label("disputed", late=1)])
        insert(log, QUARANTINED_LABELS, [label("disputed")])
    expected = (-math.log(0.75) - math.log(0.5)) / 2
    assert report.show_served(tmp_path) == f"log loss by month {expected:.2f}"
    assert f"{expected:.4f} on 2 of 2013-04" in capsys.readouterr().out
