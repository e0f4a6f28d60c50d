"""What a false alarm is, for the year's report and for the benchmark of the monitors: one definition.

A false alarm is an alarm of a monitor that leads to an action and that begins while no fault is injected. It is
counted once, however long it goes on. An alarm of drift only informs.
"""

import pandas as pd

from level5_monitoring.monitors.monitor_result import MonitorResult

KEY = ["monitor", "target", "version"]  # identifies an alarm of the year from one day to the next


def begins(alarms: pd.DataFrame, key: list[str]) -> pd.Series:
    """Whether each alarm begins: none of the same key ended just before it.

    alarms: columns `key`, `number` (of the last day it stands for) and `length` (how many days: 7 for a week).
    """
    in_order = alarms.sort_values("number")
    return in_order.groupby(key)["number"].diff().ne(in_order["length"]).reindex(alarms.index)


def false_alarms(results: list[MonitorResult]) -> list[MonitorResult]:
    """The false alarms among the results of days without injected faults, in order."""
    alarms = [one for one in results if one.state == "alarm" and one.monitor != "drift"]
    if not alarms:
        return []
    number = [pd.Timestamp(one.day).toordinal() for one in alarms]
    keys = pd.DataFrame([one.alarm_key for one in alarms], columns=KEY).assign(number=number, length=1)
    return [one for one, new in zip(alarms, begins(keys, KEY), strict=True) if new]
