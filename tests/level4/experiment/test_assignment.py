"""Assignment: sticky, even, independent between experiments."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from level4_deployment.experiment.assignment import arm, hash_to_unit_interval, propensity


@pytest.fixture(scope="module")
def names(flights: pd.DataFrame) -> list[str]:
    return flights["flight_id"].iloc[:40_000].tolist()


def test_real_flights_are_spread_evenly(names: list[str]) -> None:
    drawn = np.array([hash_to_unit_interval("a salt", name) for name in names])
    assert ((drawn >= 0) & (drawn < 1)).all()
    assert stats.kstest(drawn, "uniform").pvalue > 0.001


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5])
def test_the_challenger_gets_its_share(names: list[str], share: float) -> None:
    got = sum(arm("a salt", share, name) == "challenger" for name in names)
    assert stats.binomtest(got, len(names), share).pvalue > 0.001


def test_another_experiment_is_another_draw(names: list[str]) -> None:
    one = [arm("one", 0.3, name) for name in names]
    two = [arm("two", 0.3, name) for name in names]
    assert stats.chi2_contingency(pd.crosstab(one, two)).pvalue > 0.001


def test_a_larger_share_keeps_who_was_in_it(names: list[str]) -> None:
    before = {name for name in names if arm("s", 0.1, name) == "challenger"}
    assert before <= {name for name in names if arm("s", 0.2, name) == "challenger"}


def test_every_process_says_the_same() -> None:
    code = (
        "from level4_deployment.experiment.assignment import hash_to_unit_interval as unit\n"
        "print(unit('s', '2013-04-01-B61-JFK'))"
    )
    said = {subprocess.check_output([sys.executable, "-c", code], text=True) for _ in range(2)}
    assert said == {f"{hash_to_unit_interval('s', '2013-04-01-B61-JFK')}\n"}


def test_in_shadow_all_are_the_champions_for_certain(names: list[str]) -> None:
    assert {arm("s", 0.0, name) for name in names[:1000]} == {"champion"}
    assert (propensity(0.0, "champion"), propensity(0.2, "champion"), propensity(0.2, "challenger")) == (1.0, 0.8, 0.2)
