"""A score that is too good to be true stops the training; how good is plausible, the versions on record say."""

import pandas as pd
import pytest

from level3_training_pipeline.pipeline.evaluate import Evaluation, check_plausible
from shared.data.schema import DataError
from shared.score import Score


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
