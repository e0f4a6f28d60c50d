"""The verdict: what it is for which days, and that nothing but the days and the plan decides it."""

import json
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.power import TTestPower

from level4_deployment.experiment import sequential
from level4_deployment.experiment.design import (
    BETTER,
    HARM,
    Plan,
    decide,
    judge,
    make_plan,
    non_inferiority,
    trajectory,
)
from shared.errors import UserError
from tests.factories import closed_days, day_differences

PLAN = Plan(max_days=28, inflation=1.0)  # as if days were independent: its error rates and boundaries are known


def test_a_better_challenger_is_promoted_at_a_planned_look() -> None:
    days = closed_days([*day_differences(0.01, 14), *day_differences(0.01, 14, seed=1)])
    verdict = judge(PLAN, days)
    assert (verdict.kind, verdict.day, verdict.flights) == ("promote", 14, 14 * 900)
    assert verdict.mean == pytest.approx(0.01)
    assert verdict.z is not None
    assert verdict.boundary is not None
    assert verdict.z > verdict.boundary == pytest.approx(2.54, abs=0.001)
    assert "day 14 of 28, 12,600 flights" in verdict.reason(PLAN)


@pytest.mark.parametrize("mean", [-0.02, -0.005, 0.0, 0.004, 0.01])
def test_promotion_waits_for_a_look_and_a_day_more_never_changes_what_was_decided(mean: float) -> None:
    for seed in range(6):
        days = closed_days(np.random.default_rng(seed).normal(mean, 0.01, 28))
        verdicts = [judge(PLAN, days.head(n)) for n in range(29)]
        decided = [verdict for verdict in verdicts if verdict.kind != "running"]
        assert decided, "the last day decides at the latest"
        assert all(verdict == decided[0] for verdict in decided)
        assert len(decided) == 29 - decided[0].day
        assert decided[0].kind != "promote" or decided[0].day in (7, 14, 21, 28)


def test_harm_is_seen_on_any_day_but_not_before_the_first_harm_day() -> None:
    days = closed_days([*day_differences(-0.005, 7), *np.full(21, -0.03)])
    verdicts = [judge(PLAN, days.head(n)) for n in range(29)]
    day = next(n for n, verdict in enumerate(verdicts) if verdict.kind == "reject")
    assert 7 < day < 14, "between two looks"
    assert "worse" in verdicts[day].reason(PLAN)
    bad = closed_days(day_differences(-0.1, 28))
    assert [judge(PLAN, bad.head(n)).kind for n in (5, 6, 7)] == ["running", "running", "reject"]


@pytest.mark.parametrize(("mean", "shown"), [(0.002, True), (-0.001, True), (-0.003, False), (-0.005, False)])
def test_an_inconclusive_verdict_says_whether_the_challenger_is_worse_by_less_than_the_margin(
    mean: float, shown: bool
) -> None:
    verdict = judge(replace(PLAN, smallest_gain=0.0), closed_days(day_differences(mean)))
    assert (verdict.kind, verdict.non_inferior) == ("inconclusive", shown)
    assert ("not proven, non-inferior: " in verdict.reason(PLAN), "margin 0.005" in verdict.reason(PLAN)) == (
        shown,
        True,
    )


def test_where_it_is_enough_a_challenger_that_is_shown_non_inferior_is_promoted_on_the_last_day() -> None:
    plan = replace(PLAN, promote_non_inferior=True)
    days = closed_days(day_differences(0.001))
    verdicts = [judge(plan, days.head(n)) for n in (27, 28)]
    assert [verdict.kind for verdict in verdicts] == ["running", "promote"]
    assert verdicts[1].reason(plan).startswith("non-inferior, which is enough: mean gain +0.0010")
    assert judge(plan, closed_days(day_differences(-0.003))).kind != "promote"
    assert judge(PLAN, days).kind == "inconclusive"


def test_a_challenger_worse_by_the_margin_passes_with_probability_alpha() -> None:
    units = np.random.default_rng(11).normal(-0.3, 1, (40_000, 28))
    assert non_inferiority(replace(PLAN, margin=0.3), units).mean() == pytest.approx(0.05, abs=0.004)


@pytest.mark.parametrize(("good_days", "kind"), [(range(7), "promote"), (range(7, 28), "blocked")])
def test_a_verdict_stands_or_falls_with_the_split_of_its_own_days(good_days: range, kind: str) -> None:
    """Found after a week: neither do flights that are lost later block it, nor do whole days later release it."""
    gains = [0.05 + 0.001 * (day % 3) for day in range(28)]
    challenger = [100 if day in good_days else 50 for day in range(28)]
    verdict = judge(PLAN, closed_days(gains, champion_arm=900, challenger_arm=challenger))
    assert (verdict.kind, verdict.day) == (kind, 7)
    assert ("350 of 6,650 flights where 10% was planned" in verdict.reason(PLAN)) == (kind == "blocked")


@pytest.mark.parametrize("mean", [0.0, 0.01, -0.05])
@pytest.mark.parametrize("days", [0, 1, 2, 6, 7, 28])
def test_plan_and_verdict_are_plain_json_from_the_first_day_on(days: int, mean: float) -> None:
    spread = day_differences(mean, days) if days > 1 else np.full(days, mean)
    for values in (spread, np.full(days, mean)):
        for made in (make_plan(values), judge(PLAN, closed_days(values))):
            assert type(made)(**json.loads(json.dumps(asdict(made), allow_nan=False))) == made


def test_days_without_evidence_do_not_count() -> None:
    days = closed_days(day_differences(0.01, 14))
    empty = closed_days([np.nan, np.nan], day=["2013-03-30", "2013-03-31"], flights=0)
    with_empty = pd.concat([empty, days])
    assert judge(PLAN, with_empty) == judge(PLAN, days)
    assert judge(PLAN, empty).kind == "running"


def test_the_interval_and_the_bound_agree_with_the_verdict() -> None:
    for seed in range(50):
        days = closed_days(np.random.default_rng(seed).normal(-0.006, 0.01, 28))
        path, verdict = trajectory(PLAN, days), judge(PLAN, days)
        harmed = np.flatnonzero(path.most < 0)
        if "worse" in verdict.reason(PLAN):
            assert harmed[0] + 1 == verdict.day
        else:
            assert not len(harmed)
        assert verdict.lower == pytest.approx(path.lower[verdict.day - 1])
        assert verdict.mean is not None
        assert verdict.upper is not None
        assert verdict.lower is not None
        assert verdict.lower < verdict.mean < verdict.upper
        assert verdict.mean - verdict.lower == pytest.approx(verdict.upper - verdict.mean)


def test_false_verdicts_keep_to_alpha_and_power_to_the_fixed_horizons() -> None:
    plan, effect = Plan(max_days=56, inflation=1.0), 0.4
    noise = np.random.default_rng(8).standard_normal((10_000, 56))
    kinds, _ = decide(plan, noise)
    assert 0.04 < (kinds == BETTER).mean() < 0.055
    assert (kinds == HARM).mean() < 0.05
    kinds, ends = decide(plan, noise + effect)
    fixed = TTestPower().power(effect, 56, 0.05, alternative="larger")
    assert fixed - 0.02 < (kinds == BETTER).mean() <= fixed + 0.01
    assert ends.mean() < 45, "days are saved"


def test_inflated_errors_need_a_gain_that_is_larger_by_this_factor() -> None:
    days = closed_days(day_differences(0.004))
    plain, inflated = (trajectory(replace(PLAN, inflation=factor), days) for factor in (1.0, 1.5))
    assert inflated.mean == pytest.approx(plain.mean)
    assert (inflated.needed[6::7] / plain.needed[6::7]).tolist() == pytest.approx([1.5] * 4)
    assert (inflated.most - inflated.mean)[6:] == pytest.approx(1.5 * (plain.most - plain.mean)[6:])


def test_inflation_makes_up_for_days_that_come_in_rows() -> None:
    """Each day shares a half with the next: without inflation, far more than alpha are promoted."""
    noise = np.random.default_rng(12).standard_normal((20_000, 57))
    days = noise[:, 1:] + 0.4 * noise[:, :-1]
    rates = [(decide(Plan(inflation=factor), days)[0] == BETTER).mean() for factor in (1.0, 1.29)]
    assert rates[0] > 0.09
    assert rates[1] < 0.055


def test_power_is_planned_from_the_days_before() -> None:
    wished = {"smallest_gain": 0.005, "max_days": 28, "inflation": 1.0}
    plan = make_plan(day_differences(0.03, 14, sd=0.01), **wished)
    assert (plan.history_days, plan.max_days) == (14, 28)
    assert plan.history_sd == pytest.approx(0.01)
    for power, sd in ((plan.power_from, 0.0161), (plan.power_to, 0.00725)):  # of 14 normal days, 95%
        assert power == pytest.approx(TTestPower().power(0.005 / sd, 28, 0.05, alternative="larger"), abs=0.03)
    assert plan.expected_days is not None
    assert 14 < plan.expected_days < 28
    assert make_plan(day_differences(0.03, 14, sd=0.01), **wished) == plan
    assert f"power of {plan.power_from:.0%} to {plan.power_to:.0%}" in plan.power
    assert "14 earlier days" in plan.power


def test_where_no_gain_is_required_the_power_is_that_of_showing_non_inferiority() -> None:
    history = day_differences(0.0, 14, sd=0.01)
    wide, narrow = (make_plan(history, smallest_gain=0.0, margin=margin) for margin in (0.01, 0.001))
    assert wide.power_from is not None
    assert narrow.power_from is not None
    assert wide.power_from > 0.8
    assert narrow.power_from < 0.3
    assert "an equal challenger is found non-inferior" in wide.power


def test_without_a_history_the_power_is_not_made_up() -> None:
    plan = make_plan([])
    assert (plan.power_from, plan.power_to) == (None, None)
    assert "no earlier days" in plan.power


def test_boundaries_apply_where_the_plan_says() -> None:
    looks = np.flatnonzero(np.isfinite(PLAN.bounds.better)) + 1
    assert looks.tolist() == [7, 14, 21, 28]
    assert PLAN.bounds.better[looks - 1] == pytest.approx(sequential.boundaries(0.05, (0.25, 0.5, 0.75, 1.0)))
    for bound in (PLAN.bounds.harm, PLAN.bounds.both):
        assert np.isinf(bound[:6]).all()
        assert np.isfinite(bound[6:]).all()
        assert np.argmin(bound) + 1 == pytest.approx(14, abs=3), "tightest half-way"
    assert (PLAN.bounds.harm[6:] < PLAN.bounds.both[6:]).all()


@pytest.mark.parametrize(
    "wrong",
    [
        {"alpha": 0.6},
        {"share": 0.0},
        {"max_days": 30},
        {"look_every": 0},
        {"margin": -0.001},
        {"inflation": 0.9},
    ],
)
def test_a_plan_that_cannot_be_kept_to_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="cannot be carried out"):
        Plan.of(**wrong)
