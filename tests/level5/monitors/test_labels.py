"""Labels that do not arrive, or contradict every prediction, are an alarm; real ones are not."""

import numpy as np
import pandas as pd
import pytest

from level5_monitoring.live_year.fault_injection import inject_label_fault
from level5_monitoring.monitors.labels import check_labels
from tests.support import alarms

DAY = "2013-05-07"


def test_labels_of_real_days_are_no_alarm(days: dict[str, pd.DataFrame]) -> None:
    for day, window in days.items():
        results = check_labels(window, day)
        assert {one.state for one in results} == {"ok"}
        assert {one.day for one in results} == {day}


def test_labels_that_stop_are_an_alarm_at_one_airport_too(days: dict[str, pd.DataFrame]) -> None:
    window = days[DAY]
    assert alarms(check_labels(window.assign(late=np.nan), DAY)) == {"labels"}
    at_newark = check_labels(window.assign(late=window["late"].mask(window["origin"] == "EWR")), DAY)
    assert alarms(at_newark) == {"labels"}
    assert "EWR" in at_newark[0].message


def test_inverted_labels_are_an_alarm(days: dict[str, pd.DataFrame]) -> None:
    inverted = inject_label_fault(days[DAY].assign(label_known_at=None), "labels flipped", 3)
    assert alarms(check_labels(inverted, DAY)) == {"late"}


@pytest.mark.parametrize("rows", [0, 99])
def test_few_flights_are_insufficient(rows: int, days: dict[str, pd.DataFrame]) -> None:
    assert {one.state for one in check_labels(days[DAY].head(rows), DAY)} == {"insufficient data"}
