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
    false_alarms,
    summary,
)

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
    false = false_alarms(clean, days=60)
    assert list(false.loc[OURS]) == [30 * 2 / 60, 30 * 4 / 60]
    assert list(false.loc[WITH_DRIFT]) == [30 * (2 + 2) / 60, 30 * 21 / 60]
    assert list(false_alarms(clean, days=60, scale=0.9).loc[OURS]) == [30 * 3 / 60, 30 * 5 / 60]


def test_wider_limits_never_find_sooner_and_never_raise_more_alarms() -> None:
    lines: list[Line] = [("monitors", "contract", "airport_delay_1h", day / 5, 0.0, day) for day in range(1, 15)]
    table = case("hours", 1, *lines)
    ours = curve(table, table, days=FAULT_DAYS).query("method == @OURS")
    assert ours["scale"].tolist() == SCALES
    assert ours["delay"].is_monotonic_increasing
    assert ours["delay"].max() > ours["delay"].min()
    assert ours["days in alarm"].is_monotonic_decreasing
