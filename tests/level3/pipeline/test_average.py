"""The average of two models is one model, and its log-odds are the mean of both."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

from level2_devops.features import features
from level2_devops.model import fit_features, predict_features
from level3_training_pipeline.pipeline.average import average


def test_the_log_odds_are_the_mean_of_both_also_where_each_knows_other_codes(flights: pd.DataFrame) -> None:
    """The old model has never seen carrier AA, the new one never 9E: places of codes differ between the two."""
    labelled = flights[flights["late"].notna()].head(12_000)
    inputs, late = features(labelled), labelled["late"]
    ours, theirs = (labelled["carrier"] != code for code in ("9E", "AA"))
    old = fit_features(inputs[theirs], late[theirs], max_iter=8)
    new = fit_features(inputs[ours], late[ours], max_iter=5)
    both = inputs[ours & theirs]
    before = [predict_features(model, both) for model in (new, old)]
    mean = average(new, old)
    wanted = expit(sum(logit(part) for part in before) / 2)
    assert predict_features(mean, both) == pytest.approx(wanted, abs=1e-12)
    assert np.array_equal(before, [predict_features(model, both) for model in (new, old)]), "neither is changed"
    again = average(new, mean)
    assert predict_features(again, both) == pytest.approx(expit((logit(before[0]) + logit(wanted)) / 2), abs=1e-12)
