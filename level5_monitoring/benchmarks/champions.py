"""Sound and faulty champions, each for a month of real outcomes: which monitors of performance ring, and when.

Unlike a fault that begins while a champion serves, these models are faulty from their first day on.
"""

import numpy as np
import pandas as pd

from level5_monitoring.benchmarks.backtest import VERSION, BacktestPeriod, measure
from level5_monitoring.benchmarks.model_faults import MODEL_FAULTS
from level5_monitoring.monitors import performance

SOUND = "sound"
MONITORS = ["calibration", "calibration_slope", "skill"]
CHAMPIONS = [(SOUND, 0), *((fault, size) for fault in MODEL_FAULTS for size in (1, 2, 3))]


def first_alarms(period: BacktestPeriod) -> pd.DataFrame:
    """Of each of CHAMPIONS in a month: fault, size, flights, loss (nats), and for each of MONITORS its first alarm.

    First alarm: the number of the day, from 1; NaN without one.
    """
    flights = period.flights[period.flights["day"] >= period.first].dropna(subset=["late"])
    sound = flights["probability"].to_numpy(float)
    rows = []
    for fault, size in CHAMPIONS:
        faulty = sound if fault == SOUND else MODEL_FAULTS[fault].apply(sound, period.base_rate(), size)
        days = measure(flights.assign(version=VERSION, probability=faulty), period.measured)
        measured = pd.DataFrame(days, columns=performance.COLUMNS)
        first = dict.fromkeys(MONITORS, np.nan)
        for number, day in reversed(list(enumerate(days, start=1))):
            checked = performance.check_champion(day.day, VERSION, measured[measured["day"] <= day.day])
            rings = [one.monitor for one in checked if one.state == "alarm"]
            first |= dict.fromkeys(rings, number)
        loss = np.average([day.loss for day in days], weights=[day.flights for day in days])
        rows.append({"fault": fault, "size": size, "flights": len(flights), "loss": float(loss)} | first)
    return pd.DataFrame(rows)


def by_champion(months: pd.DataFrame) -> list[list[str]]:
    """A row for each champion: its name, log loss, and months with an alarm of each monitor and of any.

    In brackets, the median day of the first alarm.
    """
    rows = []
    for fault, size in CHAMPIONS:
        mine = months[(months["fault"] == fault) & (months["size"] == size)]
        name = SOUND if fault == SOUND else f"{fault}, {MODEL_FAULTS[fault].sizes[size - 1]}"
        alarms = [mine[monitor] for monitor in MONITORS]
        cells = [_cell(first) for first in [*alarms, pd.concat(alarms, axis=1).min(axis=1)]]
        rows.append([name, f"{np.average(mine['loss'], weights=mine['flights']):.3f}", *cells])
    return rows


def _cell(first: pd.Series) -> str:
    months = int(first.notna().sum())
    return str(months) + (f" ({first.median():g})" if months else "")
