"""What `make level4` may claim: a run that did not show all of it ends with an error that names what was missing."""

import math
from collections import Counter
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

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

ANOTHER_DAY = date(2013, 7, 1)
A, B = {"a" * 64}, {"b" * 64}  # digests of packages
DEPLOYED = Deployed(2, "a" * 64, Report("a" * 64, [Gate("parity", passed=True, seen="equal")], Plan()), "2-against-1")
SERVED = {"production": A, "live": A, "shadow": A}
NOT_PROMOTED = {"live": A, "shadow": A}
REPLAYED = ReplayStats(requests=3, flights=500)
ROLLBACK, KILL = RollbackDrill(1, 9, 0, 0.1, 0.1), KillDrill(9, 4, 2.0)


def missing(claims: list[Claim]) -> list[str]:
    return [claim.name for claim in claims if not claim.shown]


@pytest.mark.parametrize(
    ("changes", "broken"),
    [
        ({}, []),
        ({"better": "inconclusive", "served": NOT_PROMOTED}, ["version 2 is promoted"]),
        ({"worse": "running"}, ["version 4 is rejected"]),
        ({"today": ANOTHER_DAY, "better": "inconclusive", "served": NOT_PROMOTED}, []),
        ({"today": ANOTHER_DAY, "worse": "inconclusive"}, []),
        ({"today": ANOTHER_DAY, "worse": "promoted"}, ["version 4 is rejected or inconclusive"]),
        (
            {"today": ANOTHER_DAY, "better": "running", "served": NOT_PROMOTED},
            ["version 2 is promoted or rejected or inconclusive"],
        ),
        (
            {"served": {"live": A, "production": A}},
            ["the package reaches train > test > shadow > live > production"],
        ),
        ({"served": SERVED | {"production": A | B}}, ["every stage has the same package"]),
        ({"refusals": {"damaged": "it was altered", "ten trees": ""}}, ["the gates refuse every bad candidate"]),
    ],
)
def test_the_claims_about_gates_experiments_and_package_that_a_run_did_not_show(
    changes: dict[str, Any], broken: list[str]
) -> None:
    run = {"better": "promoted", "worse": "rejected", "served": SERVED, "refusals": {"ten trees": "worse"}} | changes
    tried = experiment(challenger=2, state=run["better"]), experiment(challenger=4, state=run["worse"])
    stages = digests_by_stage(DEPLOYED, run["served"])
    assert (
        missing(report.release_claims(run.get("today", report.STORY_TODAY), run["refusals"], *tried, stages)) == broken
    )


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
    tested = replace(DEPLOYED, report=replace(DEPLOYED.report, digest="c" * 64))
    lines = [
        digests_in_a_line(digests_by_stage(tested, SERVED)),
        report.verdict_in_a_line(promoted),
        str(ROLLBACK),
        str(KILL),
    ]
    assert lines == [
        "aaaaaaaa…, cccccccc… at train, test, shadow, live, production",
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
        (ROLLBACK, KILL, None),
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
def test_a_drill_that_shows_too_little_breaks_one_claim(
    rollback: RollbackDrill, kill: KillDrill, broken: str | None
) -> None:
    assert missing(report.service_claims(REPLAYED, rollback, kill)) == ([broken] if broken else [])


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
