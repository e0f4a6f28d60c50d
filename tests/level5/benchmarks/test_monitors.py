"""The whole benchmark: a few faults on the real year, and its tables."""

import os

import pandas as pd
import pytest

from level5_monitoring.benchmarks import monitors
from level5_monitoring.benchmarks.detection_metrics import OURS, detections, false_alarm_rates, summary
from level5_monitoring.benchmarks.monitors import show_tables

FAULTS = ["celsius", "labels stop", "odds too high"]


@pytest.mark.slow
def test_celsius_and_a_dead_feed_are_attributed_within_a_day_where_others_find_nothing(
    flights: pd.DataFrame, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    measured = monitors.run_benchmark(flights, ["2013-04-10"], FAULTS, workers=min(2, os.cpu_count() or 1))
    found, days, false = detections(measured.faulty), measured.days, false_alarm_rates(measured.clean, measured.days)
    lines = summary(found, ["fault", "size", "method"]).set_index(["fault", "size", "method"])
    assert days == 30
    for fault in FAULTS[:2]:
        assert list(lines.loc[(fault, 3, OURS), ["delay", "missed", "attributed"]]) == [1, 0, 1.0]
        for method in ("Evidently data set, daily", "Evidently data set, weekly"):
            assert lines.loc[(fault, 3, method), "missed"] == 1
    assert lines.loc[("labels stop", 2, OURS), "missed"] == 0  # those of one airport
    assert list(lines.loc[("odds too high", 3, OURS), ["missed", "attributed"]]) == [0, 1.0]
    april = measured.champions.set_index(["fault", "size"])
    assert april["skill"].to_dict()["log odds squeezed", 3] <= 16
    assert april["calibration"].to_dict()["odds too high", 2] <= 16
    in_alarm = false["days in alarm"].to_dict()
    assert in_alarm[OURS] < in_alarm["Evidently columns, weekly"]
    monkeypatch.setenv("COLUMNS", "80")
    capsys.readouterr()
    show_tables(measured)
    shown = capsys.readouterr().out
    for head in ("attributed", "incl.", "detected"):
        assert head in shown
    assert max(map(len, shown.splitlines())) <= 80
    assert "…" not in shown, "a word that is cut off"
