"""The benchmark of the service: its arithmetic and its table heads, on results made by hand."""

import os
import re

import pandas as pd
import pytest

from level4_deployment.benchmarks.services import BARE, CHAMPION_ONLY, MLFLOW, TWO_WORKERS, WITH_SHADOW, Service
from level4_deployment.benchmarks.serving import CONNECTIONS, ratio, show, show_aims

RATES = {
    BARE: [100.0, 10.0],
    CHAMPION_ONLY: [80.0, 8.0],
    WITH_SHADOW: [50.0, 6.0],
    TWO_WORKERS: [90.0, 9.0],
    MLFLOW: [1.0, 1.0],
}
SERVICES = [Service(name, 1, "/predict", [], [os.getpid()]) for name in RATES]


@pytest.fixture
def rounds() -> pd.DataFrame:
    """Two rounds, the second one ten times as slow for all services but one."""
    rows = [
        {"round": number, "connections": connections, "service": name, "rate": rate, "ms": [1.0] * 99 + [60.0]}
        for name, rates in RATES.items()
        for number, rate in enumerate(rates, start=1)
        for connections in CONNECTIONS
    ]
    return pd.DataFrame(rows).assign(errors=0)


def test_services_are_compared_within_a_round_so_that_a_slow_round_is_slow_for_both(rounds: pd.DataFrame) -> None:
    assert ratio(rounds, WITH_SHADOW, BARE, 32) == pytest.approx(0.55)


def rows(capsys: pytest.CaptureFixture[str]) -> dict[str, list[str]]:
    """The cells of all tables printed so far, by the first cell of their row."""
    cells = [re.split(r"\s{3,}", line.strip()) for line in capsys.readouterr().out.splitlines()]
    return {first: others for first, *others in cells}


def test_the_tables_name_their_units_and_report_missed_aims(
    rounds: pd.DataFrame, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    show(SERVICES, rounds)
    show_aims(SERVICES, rounds)
    lines = rows(capsys)
    assert lines[WITH_SHADOW][:4] == ["28", "0.55", "1.0", "1.6"]
    assert lines["requests/s relative to bare FastAPI"] == ["0.55", ">= 0.45", "yes"]
    assert lines["requests/s relative to mlflow models serve"] == ["28.00", ">= 25", "yes"]
    assert lines["requests/s of two workers relative to one"] == ["1.65", ">= 1.6", "yes"]
    show_aims(SERVICES, rounds.assign(ms=rounds["ms"].map(lambda _: [51.0]), rate=1.0))
    lines = rows(capsys)
    assert lines["ms, 99th percentile"] == ["51.00", "< 50", "no"]
    assert lines["requests/s of two workers relative to one"] == ["1.00", ">= 1.6", "no"]
