"""The benchmark of policies: what is learnt from January to March, what a spoiled version does, and the tables."""

import numpy as np
import pandas as pd
import pytest

from level5_monitoring.benchmarks import policies
from level5_monitoring.benchmarks.policies import NAMES, LearningCurve, Outcome, show_faults, show_history, show_starts
from level5_monitoring.policy_backtest.comparison import Effort, PolicyResult
from level5_monitoring.policy_backtest.models import Floats, Models, SimulatedYear, midnight
from shared.score import Score


def test_a_law_of_the_gain_is_found_again(flights: pd.DataFrame) -> None:
    """Models whose loss is 0.4 + 0.25 / days, and all flights late."""
    known = flights[flights["predicted_at"] < midnight("2013-03-01")]

    class MadeModels(Models):
        def train(self, night: str, *_: object, **__: object) -> Floats:
            days = (pd.Timestamp(night) - pd.Timestamp("2013-01-01")).days
            return np.full(len(known), np.exp(-0.4 - 0.25 / days))

    models = MadeModels(SimulatedYear(known, np.ones(len(known))))
    nights = ["2013-01-16", "2013-01-26", "2013-02-10", "2013-02-26"]  # the last has fewer than seven days after it
    curve = policies._learning_curve(models, nights)
    assert (curve.c, curve.explained) == pytest.approx((0.25, 1.0))
    assert curve.pairs == 3


def test_the_tables_name_every_policy_with_its_figures(capsys: pytest.CaptureFixture[str]) -> None:
    """Losses with trainings, shares with intervals, worse versions, and who ended the spoiled one."""

    def outcome(loss: float) -> Outcome:
        result = PolicyResult(
            Score(loss, 0.77, 0.1, 0.01, 0.2, 9_000), Effort(8, 0), (0.008,) * 3, (0.97, 0.5, 1.2), 61, 1
        )
        return Outcome(dict.fromkeys(NAMES, result), dict.fromkeys(NAMES, 7), dict.fromkeys(NAMES, "gate"))

    show_history(LearningCurve(0.26, 0.62, 153), pd.DataFrame([[9, 0.0008, 9, 9]]))
    show_starts({"2013-04-01": outcome(0.4561), "2013-07-01": outcome(0.4464)})
    show_faults(outcome(0.4561), outcome(0.4611))
    printed = " ".join(capsys.readouterr().out.split())
    for text in ("0.456 (8)", "0.446 (8)", "97% [50%, 120%]", "61 (1)", "+0.005", "gate", "+0.80", "9 of 9"):
        assert text in printed, text
    assert "9,000, 9,000" in printed
    assert "0.26 x (1 / days before" in printed
