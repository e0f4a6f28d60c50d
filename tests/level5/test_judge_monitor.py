"""The judge: its arithmetic on tables worked by hand, and a few faults put to the monitors on the real year."""

import warnings

import pandas as pd
import pytest
from matplotlib.colors import to_hex

from level2_devops.features import features
from level5_monitoring.benchmarks import monitors
from level5_monitoring.benchmarks.baseline_detectors import fit_baseline_detectors
from level5_monitoring.benchmarks.detection_metrics import (
    DAYS,
    METHODS,
    OURS,
    SCALES,
    WITH_DRIFT,
    curve,
    detections,
    false_alarms,
    summary,
)
from level5_monitoring.benchmarks.plots import judge_plot

Line = tuple[str, str, str, float, float, int]  # watch, monitor, subject, ratio, without the fault, number of the day


@pytest.fixture(scope="module", autouse=True)
def _evidently() -> None:
    """Its import warns of what it does itself, and only once; our own warnings stay errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import evidently.metrics  # noqa: F401


def case(fault: str, size: int, *lines: Line) -> pd.DataFrame:
    table = pd.DataFrame(lines, columns=["detector", "monitor", "target", "ratio", "clean", "number"])
    return table.assign(fault=fault, size=size, date="2013-05-01")


def test_a_delay_counts_from_the_first_spoilt_day_and_an_alarm_that_rings_anyway_tells_nothing() -> None:
    spoilt = case(
        "celsius",
        1,
        ("acts", "contract", "pressure", 2.0, 2.0, 1),  # rings anyway
        ("acts", "contract", "temp", 0.9, 0.1, 1),
        ("acts", "contract", "temp", 1.1, 0.1, 3),
        ("drift", "drift", "humid", 1.5, 0.2, 2),
        ("PSI", "drift", "temp", 0.7, 0.2, 2),
    )
    found = detections(spoilt).set_index("method")
    assert list(found.loc[OURS, ["delay", "named", "by"]]) == [3, True, "contract"]
    assert list(found.loc[WITH_DRIFT, ["delay", "named"]]) == [2, False]  # sooner, under a wrong name
    assert found["delay"].isna().sum() == len(METHODS) - 2
    assert detections(spoilt, scale=0.7).set_index("method").loc["PSI above 0.2, weekly", "delay"] == 2


def test_a_fault_that_is_mostly_missed_has_no_median_delay() -> None:
    hits = [case("celsius", size, ("acts", "contract", "temp", 2.0, 0.0, size)) for size in (1, 2)]
    missed = [case("celsius", size, ("acts", "contract", "temp", 0.6, 0.0, 1)) for size in (3, 4, 5)]
    found = detections(pd.concat([*hits, *missed]))
    ours = summary(found, ["method"]).set_index("method").loc[OURS]
    assert list(ours[["cases", "delay", "missed", "named"]]) == [5, float("inf"), 3, 1.0]


def test_an_alarm_that_goes_on_is_one_alert_and_a_week_in_alarm_is_seven_days() -> None:
    clean = case(
        "celsius",
        1,
        *[("acts", "contract", "temp", 1.5, 0.0, day) for day in (3, 4, 5, 9)],
        *[("drift", "drift", "temp", 1.5, 0.0, day) for day in (7, 14, 28)],
        ("acts", "contract", "dewp", 0.9, 0.0, 10),
    )
    false = false_alarms(clean, days=60)
    assert list(false.loc[OURS]) == [30 * 2 / 60, 30 * 4 / 60]
    assert list(false.loc[WITH_DRIFT]) == [30 * (2 + 2) / 60, 30 * 21 / 60]
    assert list(false_alarms(clean, days=60, scale=0.9).loc[OURS]) == [30 * 3 / 60, 30 * 5 / 60]


def test_wider_limits_never_find_sooner_and_never_ring_more() -> None:
    spoilt = case("hours", 1, *[("acts", "contract", "airport_delay_1h", day / 5, 0.0, day) for day in range(1, 15)])
    clean = case("hours", 1, *[("acts", "contract", "airport_delay_1h", day / 5, 0.0, day) for day in range(1, 15)])
    ours = curve(spoilt, clean, days=DAYS).query("method == @OURS")
    assert ours["scale"].tolist() == SCALES
    assert ours["delay"].is_monotonic_increasing
    assert ours["delay"].max() > ours["delay"].min()
    assert ours["days in alarm"].is_monotonic_decreasing


def test_the_picture_has_a_line_and_a_dot_for_each_method() -> None:
    rows = [[method, scale, 3.0, 1.0] for method in METHODS for scale in SCALES]
    axes = judge_plot(pd.DataFrame(rows, columns=["method", "scale", "delay", "days in alarm"]), 275).axes[0]
    assert len(axes.lines) == 2 * len(METHODS)
    assert len({to_hex(line.get_color()) for line in axes.lines}) == len(METHODS)


def test_a_rival_shows_the_figures_of_evidentlys_own_report(known: pd.DataFrame, later: pd.DataFrame) -> None:
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import ValueDrift

    rivals = fit_baseline_detectors(known, 0.5)
    now = features(later.head(900))
    seen = {one.target: one.ratio for one in rivals.look_at_day(now)}
    about = DataDefinition(numerical_columns=["temp", "weekday"], categorical_columns=["carrier"])
    tables = [Dataset.from_pandas(table, data_definition=about) for table in (now, rivals.reference)]
    for name in ("temp", "weekday", "carrier"):
        (metric,) = Report([ValueDrift(column=name)]).run(*tables).dict()["metrics"]
        assert seen[name] == pytest.approx(metric["value"] / metric["config"]["threshold"])


FEW = ["celsius", "labels stop"]


@pytest.mark.slow
def test_celsius_and_a_dead_feed_are_named_within_a_day_where_others_see_nothing(flights: pd.DataFrame) -> None:
    spoilt, clean, days = monitors.judge(flights, ["2013-04-10"], FEW, workers=2)
    lines = summary(detections(spoilt), ["fault", "size", "method"]).set_index(["fault", "size", "method"])
    assert days == 30
    for fault in FEW:
        assert list(lines.loc[(fault, 3, OURS), ["delay", "missed", "named"]]) == [1, 0, 1.0]
        for method in ("Evidently data set, daily", "Evidently data set, weekly"):
            assert lines.loc[(fault, 3, method), "missed"] == 1
    assert lines.loc[("labels stop", 2, OURS), "missed"] == 0  # those of one airport
    ringing = false_alarms(clean, days)["days in alarm"].to_dict()
    assert ringing[OURS] < ringing["Evidently columns, weekly"]
