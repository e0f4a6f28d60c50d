"""Measure how long the year takes to load, first and from the cache, how much memory that needs, and the replay.

Run `python -m tests.project.measure_load` (not on Windows, which does not report a process's peak memory). Each
figure is measured in a fresh process; the exit status is 1 when one is over its budget. It is not a test, because on a
busy machine everything is slower.
"""

import os
import subprocess
import sys
import tempfile
import time

import pandas as pd

from shared.console import show_table
from shared.data.flights import load_flights
from shared.data.replay import replay
from shared.settings import NEW_YORK, read_settings

BUDGETS = {"first load": ("s", 10), "load from cache": ("s", 2), "peak memory": ("MB", 800), "replay": ("s", 10)}


def main() -> None:
    with tempfile.TemporaryDirectory() as state:
        environment = {**os.environ, "MLOPS_STATE": state}
        command = [sys.executable, "-m", "tests.project.measure_load"]
        printed = [
            subprocess.run([*command, what], env=environment, check=True, capture_output=True, text=True).stdout.split()
            for what in ("load", "load", "replay")
        ]
    (first, memory, rows), (cached, _, _), (stream, _, _) = ((float(word) for word in words) for words in printed)
    figures = dict(zip(BUDGETS, (first, cached, memory, stream), strict=True))
    rows_of = [[name, f"{figures[name]:.1f} {unit}", f"{budget} {unit}"] for name, (unit, budget) in BUDGETS.items()]
    show_table(f"{rows:,.0f} flights; replay of April to December", ["", "measured", "budget"], rows_of)
    sys.exit(any(figures[name] > budget for name, (_, budget) in BUDGETS.items()))


def measure(what: str) -> None:
    """Print the seconds that `what` takes, the peak memory of this process in MB, and the rows."""
    begun = time.perf_counter()
    flights = load_flights(read_settings())
    if what == "replay":
        begun = time.perf_counter()
        start, end = (pd.Timestamp(day, tz=NEW_YORK) for day in ("2013-04-01", "2014-01-01"))
        sum(len(hour.flights) for hour in replay(flights, start, end))
    seconds = time.perf_counter() - begun
    print(seconds, peak_memory(), len(flights))  # noqa: T201 - read by main


def peak_memory() -> float:
    """The most memory that this process has had, in MB."""
    import resource  # Windows has none

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (1e6 if sys.platform == "darwin" else 1e3)  # macOS gives bytes, Linux kilobytes


if __name__ == "__main__":
    measure(sys.argv[1]) if len(sys.argv) > 1 else main()
