"""Our distances are Evidently's, by its public API, on real weeks."""

import numpy as np
import pandas as pd
import pytest

from level5_monitoring.monitors.distances import distances_by_column, jensen_shannon, normed_wasserstein
from level5_monitoring.monitors.reference import Reference
from level5_monitoring.monitors.window import CODES, NUMBERS, as_window


@pytest.mark.filterwarnings("ignore")  # Evidently's own, and those of its dependencies
def test_distances_equal_those_of_an_evidently_report(flights: pd.DataFrame, reference: Reference) -> None:
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import ValueDrift

    days = pd.date_range("2013-07-08", periods=7).strftime("%Y-%m-%d")
    week, columns = as_window(flights[flights["flight_id"].str[:10].isin(days)], 0.2), [*NUMBERS, *CODES]
    kinds = DataDefinition(numerical_columns=NUMBERS, categorical_columns=CODES)
    wanted = [ValueDrift(column=name, method="jensenshannon" if name in CODES else "wasserstein") for name in columns]
    samples = [Dataset.from_pandas(table[columns], data_definition=kinds) for table in (week, reference.sample)]
    metrics = Report(wanted).run(*samples).dict()["metrics"]
    assert [metric["config"]["column"] for metric in metrics] == columns
    for name, metric in zip(columns, metrics, strict=True):
        distance = jensen_shannon if name in CODES else normed_wasserstein
        ours = distance(week[name].dropna(), reference.sample[name].dropna())
        assert ours == pytest.approx(metric["value"], rel=1e-12, abs=0), name
        assert ours > 0


def test_a_constant_reference_divides_by_the_least_spread_as_evidently_does() -> None:
    assert normed_wasserstein(pd.Series([1.0, 1.0]), pd.Series([0.0, 0.0])) == pytest.approx(1000)


def test_a_column_without_a_value_has_no_distance(flights: pd.DataFrame, reference: Reference) -> None:
    week = as_window(flights.head(1000), 0.2)
    for pair in (week.assign(temp=np.inf), reference.sample), (week, reference.sample.assign(temp=np.nan)):
        missing = [name for name, distance in distances_by_column(*pair).items() if np.isnan(distance)]
        assert missing == ["temp"]
