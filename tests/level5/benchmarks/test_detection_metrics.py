"""The arithmetic of delays, misses, attribution and false alarms, on tables worked by hand."""

import pandas as pd

from level5_monitoring.benchmarks.detection_metrics import (
    FAULT_DAYS,
    METHODS,
    OURS,
    SCALES,
    WITH_DRIFT,
    curve,
    detections,
    false_alarm_rates,
    own_false_alarms,
    summary,
)
from level5_monitoring.monitors.false_alarms import false_alarms
from level5_monitoring.monitors.monitor_result import Monitor
from tests.factories import monitor_result

Line = tuple[str, str, str, float, float, int]  # detector, monitor, target, ratio, ratio without the fault, number


def case(fault: str, size: int, *lines: Line) -> pd.DataFrame:
    table = pd.DataFrame(lines, columns=["detector", "monitor", "target", "ratio", "clean", "number"])
    return table.assign(fault=fault, size=size, date="2013-05-01")


def test_a_delay_counts_from_the_first_day_of_the_fault_and_alarms_without_a_fault_do_not_find_it() -> None:
    faulty = case(
        "celsius",
        1,
        ("monitors", "contract", "pressure", 2.0, 2.0, 1),  # also without the fault
        ("monitors", "contract", "temp", 0.9, 0.1, 1),
        ("monitors", "contract", "temp", 1.1, 0.1, 3),
        ("drift", "drift", "humid", 1.5, 0.2, 2),
        ("PSI", "drift", "temp", 0.7, 0.2, 2),
    )
    found = detections(faulty).set_index("method")
    assert list(found.loc[OURS, ["delay", "attributed", "detected_by"]]) == [3, True, "contract"]
    assert list(found.loc[WITH_DRIFT, ["delay", "attributed"]]) == [2, False]  # sooner, but humid is not the fault's
    assert found["delay"].isna().sum() == len(METHODS) - 2
    assert detections(faulty, scale=0.7).set_index("method").loc["PSI above 0.2, weekly", "delay"] == 2


def test_a_fault_that_is_mostly_missed_has_no_median_delay() -> None:
    hits = [case("celsius", size, ("monitors", "contract", "temp", 2.0, 0.0, size)) for size in (1, 2)]
    missed = [case("celsius", size, ("monitors", "contract", "temp", 0.6, 0.0, 1)) for size in (3, 4, 5)]
    found = detections(pd.concat([*hits, *missed]))
    ours = summary(found, ["method"]).set_index("method").loc[OURS]
    assert list(ours[["cases", "delay", "missed", "attributed"]]) == [5, float("inf"), 3, 1.0]


def test_an_alarm_that_goes_on_is_one_alert_and_a_week_in_alarm_is_seven_days() -> None:
    clean = case(
        "celsius",
        1,
        *[("monitors", "contract", "temp", 1.5, 0.0, day) for day in (3, 4, 5, 9)],
        *[("drift", "drift", "temp", 1.5, 0.0, day) for day in (7, 14, 28)],
        ("monitors", "contract", "dewp", 0.9, 0.0, 10),
    )
    clean["day"] = [f"2013-05-{number:02}" for number in clean["number"]]
    false = false_alarm_rates(clean, days=60)
    assert list(false.loc[OURS]) == [2, 30 * 4 / 60]
    assert list(false.loc[WITH_DRIFT]) == [2 + 2, 30 * 21 / 60]
    assert list(false_alarm_rates(clean, days=60, scale=0.9).loc[OURS]) == [3, 30 * 5 / 60]
    assert own_false_alarms(clean) == "contract 2013-05-03 (1), contract 2013-05-09 (1)"


def test_the_years_report_and_the_benchmark_count_the_same_false_alarms() -> None:
    """An alarm that goes on, one that comes back, one of another target, and one that only informs."""
    days: list[tuple[Monitor, str, int]] = [("calibration", "champion", day) for day in (3, 4, 5, 9)] + [
        ("contract", "temp", 4),
        ("drift", "temp", 5),
    ]
    results = [monitor_result(one, day=f"2013-05-{day:02}", target=of) for one, of, day in days]
    found = false_alarms(results)
    assert [(one.monitor, one.day[-2:]) for one in found] == [
        ("calibration", "03"),
        ("calibration", "09"),
        ("contract", "04"),
    ]
    lines = [("drift" if one == "drift" else "monitors", one, of, 2.0, 0.0, day) for one, of, day in days]
    assert false_alarm_rates(case("celsius", 1, *lines), days=60).loc[OURS, "false alarms"] == len(found)


def test_wider_limits_never_find_sooner_and_never_raise_more_alarms() -> None:
    lines: list[Line] = [("monitors", "contract", "airport_delay_1h", day / 5, 0.0, day) for day in range(1, 15)]
    table = case("hours", 1, *lines)
    ours = curve(table, table, days=FAULT_DAYS).query("method == @OURS")
    assert ours["scale"].tolist() == SCALES
    assert ours["delay"].is_monotonic_increasing
    assert ours["delay"].max() > ours["delay"].min()
    assert ours["days in alarm"].is_monotonic_decreasing
