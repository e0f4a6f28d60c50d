"""How long the live page takes to open: of the year that `make level5` has played, and of a live demo that runs."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from statistics import median

import httpx

from level2_devops.service.worker_process import address_of, open_socket
from level4_deployment.control.server import api_server
from level5_monitoring import config
from level5_monitoring.live_demo.clock import Clock
from level5_monitoring.live_demo.processes import read_address, running_demo
from level5_monitoring.live_demo.server import LivePage, create_app
from shared.console import bar, show_table
from shared.errors import UserError
from shared.settings import Settings, read_settings

BUDGET = 2.0  # seconds, for the slowest opening
OPENINGS, PAUSE = 50, 0.2  # of each page; seconds between two of them


@contextmanager
def served_year(settings: Settings) -> Iterator[str]:
    """The address of the page of a year that has been played; as after `make up`, nothing of it was read before."""
    own = config.own(settings)
    with config.open_log(settings) as log, open_socket() as listening:
        live = LivePage(log, own, Clock(own, paused=True), "the year is over")
        with live.drawing(), api_server(create_app(live), listening):
            yield address_of(listening)


def openings(name: str, address: str) -> list[float]:
    """Open the page OPENINGS times; returns the seconds of each."""
    seconds = []
    with httpx.Client(base_url=address, timeout=60) as http, bar(f"Open the page of {name}", OPENINGS) as advance:
        for _ in range(OPENINGS):
            begun = time.perf_counter()
            http.get("/").raise_for_status()
            seconds.append(time.perf_counter() - begun)
            advance()
            time.sleep(PAUSE)
    return seconds


def check_budget(measured: dict[str, list[float]]) -> None:
    """Raise UserError for a page of which an opening took longer than BUDGET."""
    for name, seconds in measured.items():
        if max(seconds) > BUDGET:
            raise UserError(
                f"the page of {name} took {max(seconds):.1f} s to open once; {BUDGET:g} s are the most. "
                "Remedy: measure on an idle machine; else see live_demo/server.py."
            )


def main() -> None:
    """Open both pages, print the seconds, and compare them with the budget; raises UserError."""
    finished, demo = (replace(read_settings(), workspace=name) for name in (config.LEVEL, "demo"))
    measured = {}
    if (config.platform(finished) / "log.db").exists():
        with served_year(finished) as address:
            measured["a year that was played"] = openings("a year that was played", address)
    if running_demo(demo):
        measured["a live demo that runs"] = openings("a live demo that runs", read_address(config.own(demo)))
    if not measured:
        raise UserError("there is no year to open. Remedy: make level5 or make up, and wait until the year begins.")
    rows = [[name, str(len(one)), f"{median(one):.3f}", f"{max(one):.3f}"] for name, one in measured.items()]
    show_table("Seconds to open the live page", ["Page", "openings", "median", "worst"], rows)
    check_budget(measured)
