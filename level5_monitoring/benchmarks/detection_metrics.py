"""How good a detector is: days until it finds a fault, missed faults, whether it attributes them, and false alarms.

Pure functions of tables. A table of ratios has a row for every figure that is near its limit: the columns RATIO.
"""

import numpy as np
import pandas as pd

from level5_monitoring.benchmarks.model_faults import ALL_FAULTS
from level5_monitoring.live_year.fault_injection import Fault
from level5_monitoring.monitors.false_alarms import begins

ALARM = ["detector", "monitor", "target"]  # identifies an alarm from one day to the next
RATIO = [*ALARM, "ratio", "day"]
CASE = ["fault", "size", "date"]
FAULT_DAYS = 14  # how long a fault lasts; one that is found later counts as missed
SCALES = [0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.25, 1.5, 2.0]  # of all limits, for the curve
KINDS = INPUTS, OUTCOMES, MODEL = "inputs", "outcomes", "the model"  # where faults are
OURS, WITH_DRIFT = "this level", "with drift, which informs"
METHODS = {  # the detectors of each method
    OURS: ["monitors"],
    WITH_DRIFT: ["monitors", "drift"],
    "Evidently columns, daily": ["columns daily"],
    "Evidently columns, weekly": ["columns weekly"],
    "Evidently data set, daily": ["data set daily"],
    "Evidently data set, weekly": ["data set weekly"],
    "Evidently data quality, daily": ["quality daily"],
    "PSI above 0.2, weekly": ["PSI"],
    "log loss +10%, weekly": ["loss"],
}
WEEKLY = ("drift", "columns weekly", "data set weekly", "PSI", "loss")


def attributes(fault: str, monitor: str, target: str) -> bool:
    """Whether an alarm of this monitor for this target leads to the fault."""
    return target in ALL_FAULTS[fault].targets or monitor in ALL_FAULTS[fault].targets


def kind_of(fault: str) -> str:
    """Where a fault is: one of KINDS."""
    found = ALL_FAULTS[fault]
    if isinstance(found, Fault):
        return INPUTS if found.apply_to_flights else OUTCOMES
    return MODEL


def detections(faulty: pd.DataFrame, scale: float = 1.0) -> pd.DataFrame:
    """One row for each method and case: delay, attributed, detected_by (the monitor).

    delay: in days, 1 if found on the first day of the fault, NaN if missed. faulty: RATIO, CASE, `number` (of the day,
    from 1) and `clean`, the same ratio without the fault: an alarm that is also there without it does not count.
    """
    cases = faulty[CASE].drop_duplicates()
    new = faulty[(faulty["ratio"] >= scale) & ~(faulty["clean"] >= scale)]
    alarms = zip(new["fault"], new["monitor"], new["target"], strict=True)
    new = new.assign(attributed=[attributes(*alarm) for alarm in alarms])
    found = []
    for method, detectors in METHODS.items():
        mine = new[new["detector"].isin(detectors)]
        first = mine[mine["number"] == mine.groupby(CASE)["number"].transform("min")]
        by_case = first.sort_values("attributed", ascending=False).groupby(CASE)
        alarm = by_case.agg(
            delay=("number", "first"), attributed=("attributed", "first"), detected_by=("monitor", "first")
        )
        found.append(cases.merge(alarm.reset_index(), how="left", on=CASE).assign(method=method))
    return pd.concat(found, ignore_index=True)


def summary(found: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Detections in groups: cases, missed, median delay, share attributed (of those found), detected_by (most often).

    The median delay is inf where half of the cases are missed, or more.
    """
    groups = found.assign(
        missed=found["delay"].isna(), delay=found["delay"].fillna(np.inf), attributed=found["attributed"].astype(float)
    ).groupby(by, sort=False)
    table = groups.agg(
        cases=("delay", "size"),
        delay=("delay", lambda delay: delay.quantile(0.5, interpolation="higher")),
        missed=("missed", "sum"),
        attributed=("attributed", "mean"),
        detected_by=("detected_by", lambda monitors: ", ".join(monitors.value_counts().index[:2])),
    )
    return table.reset_index()


def false_alarm_rates(clean: pd.DataFrame, days: int, scale: float = 1.0) -> pd.DataFrame:
    """Of each method, false alarms (see `false_alarms`) in `days` days without a fault, and days in alarm per 30.

    clean: RATIO and `number` (of the day). Of other methods, every alarm counts as one that leads to an action.
    """
    alarms = clean[clean["ratio"] >= scale].sort_values("number")
    alarms = alarms.assign(length=alarms["detector"].isin(WEEKLY).map({True: 7, False: 1}))
    new = begins(alarms, ALARM)
    rows = {}
    for method, detectors in METHODS.items():
        mine = alarms["detector"].isin(detectors)
        ends = zip(alarms["number"][mine], alarms["length"][mine], strict=True)
        covered = {last - k for last, n in ends for k in range(n) if 1 <= last - k <= days}
        rows[method] = [int(new[mine].sum()), 30 * len(covered) / days]
    return pd.DataFrame.from_dict(rows, orient="index", columns=["false alarms", "days in alarm"])


def own_false_alarms(clean: pd.DataFrame) -> str:
    """This level's false alarms, by monitor and day, as text: "contract 2013-12-31 (8)"."""
    alarms = clean[(clean["ratio"] >= 1) & clean["detector"].isin(METHODS[OURS])].assign(length=1)
    counts = alarms[begins(alarms, ALARM)].groupby(["monitor", "day"]).size().reset_index()
    return ", ".join(f"{monitor} {day} ({count})" for monitor, day, count in counts.to_numpy()) or "none"


def curve(faulty: pd.DataFrame, clean: pd.DataFrame, days: int) -> pd.DataFrame:
    """Of each method at each scale of its limits: mean delay (missed: FAULT_DAYS + 1), days in alarm per 30 clean."""
    points = []
    for scale in SCALES:
        found = detections(faulty, scale)
        delay = found["delay"].fillna(FAULT_DAYS + 1).groupby(found["method"]).mean()
        false = false_alarm_rates(clean, days, scale)
        points += [[method, scale, delay[method], false.loc[method, "days in alarm"]] for method in METHODS]
    return pd.DataFrame(points, columns=["method", "scale", "delay", "days in alarm"])
