"""The distances that SciPy computes here are those of Evidently's public API, on the real year."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from level2_devops.features import CATEGORIES, NUMBERS, features
from level5_monitoring.benchmarks.baseline_detectors import (
    DISTANCE_LIMIT,
    MOST_NEW,
    MOST_OUT,
    PSI_LIMIT,
    BaselineDetectors,
    fit_baseline_detectors,
)

pytestmark = pytest.mark.filterwarnings("ignore")  # Evidently's own, and those of its dependencies


@pytest.fixture(scope="module")
def detectors(known: pd.DataFrame) -> BaselineDetectors:
    return fit_baseline_detectors(known, 0.5)


@pytest.fixture(scope="module")
def day(later: pd.DataFrame) -> pd.DataFrame:
    return features(later.head(900))


def evidently(current: pd.DataFrame, reference: pd.DataFrame, method: str | None) -> dict[str, dict[str, Any]]:
    """Evidently's metric for each column, from one report."""
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import ValueDrift

    about = DataDefinition(numerical_columns=NUMBERS, categorical_columns=CATEGORIES)
    tables = [Dataset.from_pandas(table, data_definition=about) for table in (current, reference)]
    metrics = Report([ValueDrift(column=name, method=method) for name in current]).run(*tables).dict()["metrics"]
    return {metric["config"]["column"]: metric for metric in metrics}


def test_every_column_has_evidentlys_default_distance_divided_by_its_default_limit(
    detectors: BaselineDetectors, day: pd.DataFrame
) -> None:
    ratios = {one.target: one.ratio for one in detectors.check_day(day) if one.detector == "columns daily"}
    metrics = evidently(day, detectors.reference, None)
    assert set(ratios) == set(metrics) == {*NUMBERS, *CATEGORIES}
    for name, metric in metrics.items():
        assert metric["config"]["threshold"] == DISTANCE_LIMIT, "a distance; a p-value has 0.05"
        assert ratios[name] * DISTANCE_LIMIT == pytest.approx(metric["value"], rel=1e-6), name  # of float32


def test_every_column_has_evidentlys_psi(detectors: BaselineDetectors, day: pd.DataFrame) -> None:
    ratios = {one.target: one.ratio for one in detectors.check_week(day) if one.detector == "PSI"}
    for name, metric in evidently(day, detectors.reference, "psi").items():
        assert ratios[name] * PSI_LIMIT == pytest.approx(metric["value"], rel=1e-9), name


def test_the_tests_of_data_quality_are_evidentlys(detectors: BaselineDetectors, day: pd.DataFrame) -> None:
    """On a day with a new carrier, a missing feed, and temperatures out of range."""
    broken = day.assign(precip=np.float32("nan"), temp=day["temp"] + 200)
    broken.loc[broken.index[:30], "carrier"] = "XX"
    quality = detectors.quality
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import MissingValueCount, OutListValueCount, OutRangeValueCount, RowCount
    from evidently.tests import gte, lte

    tests = [RowCount(tests=[gte(quality.fewest)])]
    tests += [MissingValueCount(column=name, share_tests=[lte(most)]) for name, most in quality.missing.items()]
    for name, values in quality.values.items():
        tests.append(OutListValueCount(column=name, values=values, share_tests=[lte(MOST_NEW)]))
    for name, (left, right) in quality.ranges.items():
        if name != "precip":  # of a column without a value it computes 0 / 0
            tests.append(OutRangeValueCount(column=name, left=left, right=right, share_tests=[lte(MOST_OUT)]))
    about = DataDefinition(numerical_columns=NUMBERS, categorical_columns=CATEGORIES)
    ran = Report(tests).run(Dataset.from_pandas(broken, data_definition=about), None).dict()["tests"]
    failed = {test["metric_config"]["params"].get("column", "rows") for test in ran if test["status"] != "SUCCESS"}
    assert {one.target for one in quality.check_day(broken) if one.ratio > 1} == failed
    assert failed >= {"precip", "temp", "carrier"}
    assert "rows" not in failed
    assert {one.target for one in quality.check_day(broken.head(100)) if one.ratio > 1} >= {"rows"}


def test_the_data_set_drifts_when_half_of_its_columns_do(detectors: BaselineDetectors, day: pd.DataFrame) -> None:
    ratios = detectors.check_day(day)
    columns = [one.ratio for one in ratios if one.detector == "columns daily"]
    (data_set,) = (one.ratio for one in ratios if one.detector == "data set daily")
    assert data_set == sorted(columns, reverse=True)[14], "15 of 29 columns are at least a half"


def test_a_column_without_a_value_where_evidently_raises_is_an_alarm(
    detectors: BaselineDetectors, day: pd.DataFrame
) -> None:
    found = detectors.check_day(day.assign(temp=np.float32("nan")))
    ratios = {one.target: one.ratio for one in found if one.detector == "columns daily"}
    assert ratios["temp"] == np.inf


def test_a_week_without_labels_is_an_alarm_of_the_loss(detectors: BaselineDetectors) -> None:
    window = pd.DataFrame({"late": [1.0, 0.0], "probability": [0.5, 0.5]})
    (loss,) = detectors.check_labels(window)
    assert loss.ratio == pytest.approx(np.log(2) / 0.5 / 1.1)
    (missing,) = detectors.check_labels(window.assign(late=np.nan))
    assert missing.ratio == np.inf
