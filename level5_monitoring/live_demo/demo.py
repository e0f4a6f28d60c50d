"""The live demo's process: the page first, then all that it links to, then the year by its clock; until SIGTERM.

`make up` starts it in the background, `make down` ends it; all that it has started ends with it.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from types import FrameType

import pandas as pd
import uvicorn

from level2_devops.service.worker_process import address_of, open_socket
from level3_training_pipeline.orchestration import prefect_server, run_flow
from level3_training_pipeline.tracking import mlflow_runs
from level4_deployment import replay_client
from level4_deployment.control import client, platform_process
from level4_deployment.control import server as serve
from level4_deployment.experiment import experiment_store as experiments
from level4_deployment.experiment import labels
from level5_monitoring import config
from level5_monitoring.calendar_policies import FILE as WORTH
from level5_monitoring.dashboard.evidently_reports import WORKSPACE, pages
from level5_monitoring.live_demo.clock import Clock
from level5_monitoring.live_demo.processes import DEMO, ProcessRecord, configure, started
from level5_monitoring.live_demo.server import LivePage, create_app
from level5_monitoring.monitors.reference import FILE, build_reference
from level5_monitoring.monitors.window import is_end_of_week
from shared.console import console
from shared.data.flights import load_flights
from shared.data.replay import Tick, replay
from shared.data.split import history
from shared.errors import command
from shared.settings import LAST_TODAY, NEW_YORK, Settings


class Demo:
    """What runs, and what is played on it."""

    def __init__(self, settings: Settings, live: LivePage, opened: ExitStack) -> None:
        self.settings, self.live, self.opened = settings, live, opened
        self.home, self.own = config.platform(settings), config.own(settings)
        self.record = ProcessRecord(self.own)
        self.reports: subprocess.Popen[bytes] | None = None
        self.unreported = True  # whether weeks may be closed that no report was made of
        self.playing = False

    def stop(self, _sign: int, _frame: FrameType | None) -> None:
        """SIGTERM: an hour that is being played is played to its end, and a turn as well."""
        self.live.clock.stop()
        if not self.playing:
            sys.exit(0)

    def serve_page(self) -> None:
        """The page answers from now on; its address goes on record, for `make up` waits for it."""
        listening = self.opened.enter_context(open_socket())
        app = create_app(self.live)
        self.opened.enter_context(serve.api_server(uvicorn.Config(app, log_config=None, access_log=False), listening))
        self.record.address = address_of(listening)
        self.record.add(DEMO, os.getpid())

    def bring_up(self) -> prefect_server.PrefectServer:
        """Prefect's server, the platform, MLflow's and Evidently's pages; and a first champion, if there is none."""
        self.live.stage = "starting the Prefect server, MLflow, Evidently and the platform"
        server = self.opened.enter_context(prefect_server.prefect_server(self.settings))
        mlflow_runs.open_tracking(self.settings)
        store = mlflow_runs.tracking_uri(self.settings)
        self._pages("MLflow", lambda port: [*MLFLOW, "--port", str(port), "--backend-store-uri", store])
        (self.own / WORKSPACE).mkdir(exist_ok=True)
        self._pages("Evidently", lambda port: pages(self.own / WORKSPACE, port))
        platform = self.opened.enter_context(platform_process.running_platform(self.home, "--approval"))
        self.record.add("platform", platform.process.pid)
        server.wait()
        self.live.links = {**self.live.links, "Prefect": server.address}
        platform.wait_for_control()
        if not experiments.moves(self.live.log):
            self._train(server)
        platform.wait_until_ready()
        return server

    def _pages(self, name: str, words_at: Callable[[int], list[str]]) -> None:
        """Another tool's pages, on a free port."""
        port = prefect_server.free_port()
        log = self.own / f"{name.lower()}-pages.log"
        self.opened.enter_context(started(self.record, name, words_at(port), log))
        self.live.links = {**self.live.links, name: f"http://127.0.0.1:{port}"}

    def _train(self, server: prefect_server.PrefectServer) -> None:
        self.live.stage = "training the first model"
        from level4_deployment.delivery.flow import delivery
        from level5_monitoring.loop.controller import TRIALS

        run_flow.run_flow(server, delivery, str(self.settings.today), self.home, TRIALS)

    def play(self, server: prefect_server.PrefectServer) -> None:
        """The year from where the log ends, and a turn of the loop each night."""
        self.live.stage = "loading the year"
        from prefect import flow

        from level5_monitoring.loop.flow import catch_up, has_midnight, open_loop

        flights = load_flights(self.settings)
        if not (self.own / FILE).exists():
            build_reference(history(flights, self.settings.now)).save(self.own)
        self.report()  # what the last demo left undone; Evidently's pages have their project from the start
        self._compare()
        begun = labels.read_watermark(self.live.log)
        start = pd.Timestamp(begun, unit="s", tz="UTC") if begun else self.settings.now
        end = pd.Timestamp(LAST_TODAY, tz=NEW_YORK).tz_convert("UTC")

        @flow(name="live year", description="Live flights by the demo's clock, and a turn of the loop each night.")
        def live_year() -> int:
            loop = open_loop()

            def after(tick: Tick, _played: replay_client.ReplayStats) -> None:
                if has_midnight(tick):
                    take_turns()

            def take_turns() -> None:
                for decision in catch_up(loop):
                    self.report(decision.day)

            take_turns()
            hours = self.live.clock.paced(replay(flights, start, end))
            with client.PlatformClient.at(self.home, "feed") as feed:
                return replay_client.replay_over_http(
                    hours, client.read_addresses(self.home)["service"], feed, after
                ).flights

        self.playing, self.live.stage = True, "live"
        run_flow.run_flow(server, live_year)
        self.playing = False
        if not self.live.clock.stopped:
            self.live.stage = (
                "the year is over; make down, then `python -m level5_monitoring.live_demo.up --fresh`, begins it anew"
            )
            self.report_rest()

    def report(self, day: str | None = None) -> None:
        """Evidently's reports of the weeks that are closed, made beside the stream, one process at a time.

        day: one that was closed; a week's end while others are reported waits for the next day.
        """
        self.unreported |= day is not None and is_end_of_week(day)
        if self.unreported and (self.reports is None or self.reports.poll() is not None):
            self.unreported = False
            self.reports = self.opened.enter_context(started(self.record, "reports", REPORTS, self.own / "reports.log"))

    def report_rest(self) -> None:
        """The year is over, and no day comes any more that would do it."""
        if self.reports:
            self.reports.wait()
        self.report()

    def _compare(self) -> None:
        """What the policies by the calendar would have answered, computed beside the stream, which goes first."""
        if not (self.own / WORTH).exists():
            self.opened.enter_context(
                started(self.record, "policies by the calendar", CALENDAR, self.own / "worth.log")
            )


CALENDAR = [sys.executable, "-m", "level5_monitoring.calendar_policies"]
REPORTS = [sys.executable, "-m", "level5_monitoring.dashboard.evidently_reports", "--no-pages"]
MLFLOW = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--workers", "1"]


def main() -> None:
    """Serve until SIGTERM; an error is told on the page, which goes on."""
    settings = configure()
    log = config.open_log(settings)
    live = LivePage(log, config.own(settings), Clock(config.own(settings)), platform=config.platform(settings))
    with ExitStack() as opened:
        demo = Demo(settings, live, opened)
        for sign in (signal.SIGINT, signal.SIGTERM):
            signal.signal(sign, demo.stop)
        demo.serve_page()
        try:
            demo.play(demo.bring_up())
        except Exception as error:  # noqa: BLE001 - whatever it was, the page says so, and the log has it in full
            live.stage = f"stopped by an error: {error}"
            console.print_exception()
        live.clock.wait_for_stop()


if __name__ == "__main__":
    command(main)
