"""How good an alarm is: days to the first one that a fault calls up, misses, its name, and what calls for nothing.

Pure: tables in, tables out. A table of what was seen has a row for a figure near its limit: SEEN and the case it is of.
"""

import numpy as np
import pandas as pd

from level5_monitoring.fault_injection import FAULTS

SEEN = ["detector", "monitor", "target", "ratio", "day"]
ONE = ["detector", "monitor", "target"]  # what an alarm is told by: one that rings anyway tells nothing
CASE = ["fault", "size", "date"]
DAYS = 14  # that a fault lasts; found later is not found
SCALES = [0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.25, 1.5, 2.0]  # of all limits, for the curve
OURS, WITH_DRIFT = "this level", "with drift, which informs"
METHODS = {  # whose figures a method looks at
    OURS: ["acts"],
    WITH_DRIFT: ["acts", "drift"],
    "Evidently columns, daily": ["columns daily"],
    "Evidently columns, weekly": ["columns weekly"],
    "Evidently data set, daily": ["data set daily"],
    "Evidently data set, weekly": ["data set weekly"],
    "PSI above 0.2, weekly": ["PSI"],
    "log loss +10%, weekly": ["loss"],
}
WEEKLY = ("drift", "columns weekly", "data set weekly", "PSI", "loss")


def named(fault: str, monitor: str, target: str) -> bool:
    """Whether an alert of this monitor on this subject leads to the fault."""
    return target in FAULTS[fault].targets or monitor in FAULTS[fault].targets


def detections(spoilt: pd.DataFrame, scale: float = 1.0) -> pd.DataFrame:
    """One row for each method and case: delay in days (1: the first spoilt day; NaN: never), named, who saw it first.

    spoilt: SEEN, CASE, `number` (of the day, from 1), and `clean`: the same figure without the fault. An alarm that is
    there without the fault is none of it.
    """
    cases = spoilt[CASE].drop_duplicates()
    new = spoilt[(spoilt["ratio"] >= scale) & ~(spoilt["clean"] >= scale)]
    pairs = zip(new["fault"], new["monitor"], new["target"], strict=True)
    new = new.assign(named=[named(*pair) for pair in pairs])
    found = []
    for method, watches in METHODS.items():
        mine = new[new["detector"].isin(watches)]
        first = mine[mine["number"] == mine.groupby(CASE)["number"].transform("min")]
        told = first.sort_values("named", ascending=False).groupby(CASE)
        seen = told.agg(delay=("number", "first"), named=("named", "first"), by=("monitor", "first"))
        found.append(cases.merge(seen.reset_index(), how="left", on=CASE).assign(method=method))
    return pd.concat(found, ignore_index=True)


def summary(found: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Of detections: cases, median delay (inf: half are missed, or more), missed, named (of those found), by (whom)."""
    groups = found.assign(
        missed=found["delay"].isna(), delay=found["delay"].fillna(np.inf), named=found["named"].astype(float)
    ).groupby(by, sort=False)
    table = groups.agg(
        cases=("delay", "size"),
        delay=("delay", lambda delay: delay.quantile(0.5, interpolation="higher")),
        missed=("missed", "sum"),
        named=("named", "mean"),
        by=("by", lambda by: ", ".join(by.value_counts().index[:2])),
    )
    return table.reset_index()


def false_alarms(clean: pd.DataFrame, days: int, scale: float = 1.0) -> pd.DataFrame:
    """On `days` days without a fault, per 30 of them: alerts that begin, and days in alarm, of each method.

    clean: SEEN and `number` (of the day). An alarm that goes on is one alert; a week in alarm is seven days.
    """
    ringing = clean[clean["ratio"] >= scale].sort_values("number")
    step = ringing["detector"].isin(WEEKLY).map({True: 7, False: 1})
    begins = ringing.groupby(ONE)["number"].diff().ne(step)
    rows = {}
    for method, watches in METHODS.items():
        mine = ringing["detector"].isin(watches)
        covered = {n - k for n, length in zip(ringing["number"][mine], step[mine], strict=True) for k in range(length)}
        covered = {n for n in covered if 1 <= n <= days}
        rows[method] = [30 * begins[mine].sum() / days, 30 * len(covered) / days]
    return pd.DataFrame.from_dict(rows, orient="index", columns=["alerts", "days in alarm"])


def curve(spoilt: pd.DataFrame, clean: pd.DataFrame, days: int) -> pd.DataFrame:
    """Of each method, at each scale of its limits: mean delay (a miss counts DAYS + 1), days in alarm per 30 clean."""
    points = []
    for scale in SCALES:
        found = detections(spoilt, scale)
        delay = found["delay"].fillna(DAYS + 1).groupby(found["method"]).mean()
        false = false_alarms(clean, days, scale)
        points += [[method, scale, delay[method], false.loc[method, "days in alarm"]] for method in METHODS]
    return pd.DataFrame(points, columns=["method", "scale", "delay", "days in alarm"])
