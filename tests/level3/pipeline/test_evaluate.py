"""A score that is too good to be true stops the training; the intervals of slices allow for days."""

import numpy as np
import pandas as pd
import pytest
from statsmodels.regression.linear_model import OLS

from level3_training_pipeline.pipeline.evaluate import Evaluation, check_plausible, with_interval
from shared.data.schema import DataError
from shared.score import Score, log_losses


def saving(skill: float) -> Evaluation:
    """Of a candidate that saves this share of the base rate's loss."""
    base = Score(log_loss=0.55, auc=0.5, brier=0.18, calibration_error=0.0, late=0.24, rows=12_000)
    candidate = Score(log_loss=0.55 * (1 - skill), auc=0.8, brier=0.1, calibration_error=0.0, late=0.24, rows=12_000)
    return Evaluation({"candidate": candidate, "base rate": base}, {}, pd.DataFrame(), pd.DataFrame())


@pytest.mark.parametrize(("skill", "on_record"), [(0.27, []), (0.39, [0.1]), (-0.2, []), (0.5, [0.26, 0.27, 0.9])])
def test_a_plausible_score_is_accepted(skill: float, on_record: list[float]) -> None:
    check_plausible(saving(skill), on_record)


@pytest.mark.parametrize(("skill", "on_record"), [(0.41, []), (0.986, []), (0.5, [0.1, 0.2, 0.9]), (0.6, [0.27, 0.28])])
def test_one_too_good_to_be_true_is_refused(skill: float, on_record: list[float]) -> None:
    with pytest.raises(DataError, match=r"too good to be true.*Nothing was registered\. Remedy: look for"):
        check_plausible(saving(skill), on_record)


def test_the_intervals_of_slices_are_those_of_statsmodels_with_days_as_clusters(later: pd.DataFrame) -> None:
    test = later.head(3000)
    test = test.assign(day=test["flight_id"].str[:10])
    assert test["day"].nunique() > 2
    chance = np.random.default_rng(0).uniform(0.05, 0.6, len(test))
    loss = pd.Series(log_losses(test["late"], chance), index=test.index)
    table = with_interval(test, chance, "origin")
    for origin, flights in test.groupby("origin", observed=True):
        days = flights["day"].astype("category").cat.codes
        fit = OLS(loss[flights.index], np.ones(len(flights))).fit(
            cov_type="cluster", cov_kwds={"groups": days}, use_t=True
        )
        low, high = fit.conf_int().to_numpy()[0]
        assert table["interval"][str(origin)] == pytest.approx((high - low) / 2)
    first = (test["day"] == test["day"].min()).to_numpy()
    assert with_interval(test[first], chance[first], "origin")["interval"].isna().all(), "one day shows no spread"
