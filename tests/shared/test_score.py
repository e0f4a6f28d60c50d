"""The score, against values worked out by hand and against scikit-learn."""

from math import isnan, log

import numpy as np
import pandas as pd
import pytest

from shared.score import by_month, by_slice, calibration, log_losses, mean_score, over_runs, plus_minus, score


def test_four_flights_by_hand() -> None:
    """Of the four pairs of a late and a punctual flight, three are ranked rightly: the area is 3/4."""
    result = score([1, 0, 1, 0], [0.9, 0.2, 0.4, 0.5])
    assert result.log_loss == pytest.approx(-(log(0.9) + log(0.8) + log(0.4) + log(0.5)) / 4)
    assert result.auc == 0.75
    assert result.brier == pytest.approx((0.01 + 0.04 + 0.36 + 0.25) / 4)
    assert result.calibration_error == pytest.approx((0.1 + 0.2 + 0.6 + 0.5) / 4)
    assert result.late == 0.5
    assert result.rows == 4


def test_the_losses_of_the_flights_have_the_log_loss_as_their_mean_and_none_is_infinite() -> None:
    late, chance = [1, 0, 1, 0], [0.9, 0.2, 0.4, 0.5]
    assert log_losses(late, chance) == pytest.approx([-log(0.9), -log(0.8), -log(0.4), -log(0.5)])
    assert log_losses(late, chance).mean() == pytest.approx(score(late, chance).log_loss)
    assert log_losses([1, 0], [0, 1]) == pytest.approx([-log(1e-15)] * 2, rel=1e-2)


def test_of_equal_probabilities_the_order_of_the_flights_changes_nothing() -> None:
    """30% of 1,000 flights predicted at 0.2 are late, 80% of 1,000 at 0.6; the late ones come first or last."""
    chance = np.repeat([0.2, 0.6], 1000)
    late = np.concatenate([np.arange(1000) < 300, np.arange(1000) < 800]).astype(float)
    for order in (slice(None), slice(None, None, -1)):
        result = score(late[order], chance[order])
        assert result.calibration_error == pytest.approx((0.1 + 0.2) / 2, abs=1e-9)


def test_where_all_flights_end_alike_there_is_no_area_under_the_curve() -> None:
    result = score([0.0, 0.0], [0.1, 0.2])
    assert isnan(result.auc)
    assert result.log_loss == pytest.approx(-(log(0.9) + log(0.8)) / 2)


def test_no_flight_is_no_score() -> None:
    with pytest.raises(ValueError, match="no labelled flight to score"):
        score([], [])


def test_bins_of_the_calibration_are_equally_filled(later: pd.DataFrame) -> None:
    table = calibration(later["late"], np.linspace(0, 1, len(later)))
    assert len(table) == 10
    assert table["rows"].max() - table["rows"].min() <= 1
    assert table["rows"].sum() == len(later)
    assert table["predicted"].is_monotonic_increasing


def test_slices_add_up_to_the_whole(later: pd.DataFrame) -> None:
    """The log loss is additive: the slices', weighed by their rows, give the whole's."""
    chance = np.random.default_rng(2013).uniform(0.01, 0.99, len(later))
    whole = score(later["late"], chance)
    for slices in (by_slice(later, chance, "carrier"), by_slice(later, chance, "origin"), by_month(later, chance)):
        assert slices["rows"].sum() == whole.rows
        assert np.average(slices["log_loss"], weights=slices["rows"]) == pytest.approx(whole.log_loss)


def test_a_month_is_new_yorks_and_the_scores_are_its_own(later: pd.DataFrame) -> None:
    chance = np.random.default_rng(2013).uniform(0.01, 0.99, len(later))
    months = by_month(later, chance)
    assert list(months.index) == [f"2013-{month:02}" for month in range(4, 13)]
    june = later["flight_id"].str.startswith("2013-06").to_numpy()
    assert months.loc["2013-06", "rows"] == june.sum()
    assert months.loc["2013-06", "log_loss"] == pytest.approx(score(later["late"][june], chance[june]).log_loss)


def test_several_runs_by_hand() -> None:
    """Two models on one late and one punctual flight: each loss is -ln of what the flight got."""
    runs = [score([1, 0], [0.8, 0.2]), score([1, 0], [0.4, 0.6])]
    losses = [-log(0.8), -log(0.4)]
    middle, apart = sum(losses) / 2, abs(losses[0] - losses[1]) / 2**0.5
    assert mean_score(runs).log_loss == pytest.approx(middle)
    assert (mean_score(runs).auc, mean_score(runs).rows) == (0.5, 2)
    assert plus_minus([run.log_loss for run in runs], 4) == f"{middle:.4f} ± {apart:.4f}"
    assert (
        over_runs(runs) == f"log loss {middle:.3f} ± {apart:.3f}, AUC 0.500 ± 0.707 (mean ± SD of 2 runs) on 2 flights"
    )
