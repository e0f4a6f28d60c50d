"""A span that would leak, repeat or leave the year is refused with dates that work; the end says what is missing."""

from dataclasses import asdict
from datetime import date

import pytest

from level4_deployment.demo.stream import outcome, span
from level4_deployment.experiment.design import Plan, judge
from level4_deployment.replay_client import ReplayStats
from shared.errors import UserError
from tests.factories import closed_days, day_differences

FIRST = (date(2013, 4, 1), "version 2 has learned from the flights before it (a leak)")
SENT = (date(2013, 6, 1), "the platform has had the flights before it already")


def test_without_dates_it_is_the_next_month_of_the_year() -> None:
    assert span("", "", FIRST) == (date(2013, 4, 1), date(2013, 5, 1))
    for end in ("", "2014-02-01"):
        assert span("", end, (date(2013, 12, 20), "")) == (date(2013, 12, 20), date(2014, 1, 1))
    assert span("2013-05-01", "2013-06-01", FIRST) == (date(2013, 5, 1), date(2013, 6, 1))


@pytest.mark.parametrize(
    ("begin", "end", "first", "says"),
    [
        ("2013-03-31", "", FIRST, r"FROM=2013-03-31 is before 2013-04-01: version 2 has learned .*FROM=2013-04-01"),
        ("2013-05-01", "", SENT, r"FROM=2013-05-01 is before 2013-06-01: the platform has had .*FROM=2013-06-01"),
        ("2013-08-01", "", SENT, r"FROM=2013-08-01 leaves out more than a month .*Remedy: FROM=2013-06-01"),
        ("2013-05-01", "2013-05-01", FIRST, r"TO=2013-05-01 is not after FROM=2013-05-01"),
        ("", "2013-03-01", FIRST, r"TO=2013-03-01 is not after FROM=2013-04-01"),
        ("May", "", FIRST, r"FROM='May' is not a date\. Remedy: YYYY-MM-DD"),
        ("", "", (date(2014, 1, 1), ""), r"the year is over\. Remedy: a day of 2013, or make reset LEVEL=4"),
    ],
)
def test_a_span_that_cannot_be_sent_is_refused_with_one_that_can(
    begin: str, end: str, first: tuple[date, str], says: str
) -> None:
    with pytest.raises(UserError, match=says):
        span(begin, end, first)


def test_the_end_is_the_verdict_or_what_it_still_needs() -> None:
    running = {"challenger": 2, "champion": 1, "state": "running", "reason": "in shadow", "plan": asdict(Plan())}
    assert "no day is closed yet" in outcome(running, ReplayStats())
    verdict = judge(Plan(), closed_days(day_differences(0.002, 10)))
    told = outcome(running, ReplayStats(verdicts=[asdict(verdict)]))
    assert "undecided: mean gain +0.0020 nats per flight" in told
    assert "day 10 of 56" in told
    assert told.endswith("It needs 46 more days at most. Next: make stream")
    over = outcome(running | {"state": "rejected", "reason": "worse: mean gain -0.01"}, ReplayStats())
    assert over == "Version 2 against version 1: rejected: worse: mean gain -0.01."
