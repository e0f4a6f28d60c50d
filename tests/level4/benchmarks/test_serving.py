"""The benchmark of the service: its arithmetic and its table heads, on results made by hand."""

import os
import re

import pandas as pd
import pytest

from level4_deployment.benchmarks.services import BARE, CHAMPION_ONLY, MLFLOW, TWO_WORKERS, WITH_SHADOW, Service
from level4_deployment.benchmarks.serving import CONNECTIONS, ratio, show
from shared.console import console

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


def test_the_tables_show_ratio_and_percentiles_of_each_service(
    rounds: pd.DataFrame, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(console, "width", 80)
    show(SERVICES, rounds)
    cells = [re.split(r"\s{3,}", line.strip()) for line in capsys.readouterr().out.splitlines()]
    assert ["28", "0.55", "1.0", "1.6"] in [others[:4] for first, *others in cells if first == WITH_SHADOW]
