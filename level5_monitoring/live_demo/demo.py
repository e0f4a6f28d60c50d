"""The live demo: it starts what the page needs, then replays the year by its clock. `__main__.py` runs it."""

import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from level3_training_pipeline.orchestration import prefect_server, run_flow
from level3_training_pipeline.tracking import mlflow_runs
from level3_training_pipeline.ui import mlflow_pages
from level4_deployment.control import audit, platform_process
from level5_monitoring import config
from level5_monitoring.dashboard import evidently_reports
from level5_monitoring.dashboard.page import DECISION
from level5_monitoring.live_demo.activity import Activities
from level5_monitoring.live_demo.clock import Clock
from level5_monitoring.live_demo.doorway import Doorway
from level5_monitoring.live_demo.server import LivePage, create_app
from level5_monitoring.monitors.reference import build_reference, load_reference
from level5_monitoring.monitors.window import is_end_of_week
from level5_monitoring.policy_backtest import calendars
from shared.console import console
from shared.data.flights import load_flights
from shared.data.replay import HOUR
from shared.data.split import history
from shared.errors import UserError, interrupt, on_end
from shared.files import StateError
from shared.processes.children import Process, running
from shared.settings import LAST_TODAY, Settings

REPORTS = ["level5_monitoring", "reports", "--no-pages"]  # what `python -m` runs


class Demo:
    """The processes of the demo, and the replay of the year."""

    def __init__(self, settings: Settings, live: LivePage, opened: ExitStack, address: str = "") -> None:
        self.settings, self.live, self.opened, self.address = settings, live, opened, address
        self.platform_home, self.own = config.platform(settings), config.own(settings)
        self.reports: Process | None = None
        self.report_due = True  # a week may have been closed that has no report yet
        self.reports_wanted = False  # nobody has opened Evidently's pages yet
        self.reporting = threading.Lock()
        self.playing = False
        self.trains: Callable[[], bool] = lambda: False  # whether the loop trains a model now

    def stop(self) -> None:
        """On SIGTERM: end at once, or once the hour and the turn that are being played are over; on a second one, now.

        A turn that is cut off is taken again at the next start, with the same decision.
        """
        again = self.live.clock.stopped
        self.live.clock.stop()
        if self.playing and again:
            interrupt()
        if not self.playing and not again:
            sys.exit(0)

    def start_everything(self) -> prefect_server.PrefectServer:
        """Start Prefect and the platform; train the first champion if there is none."""
        self.live.stage = "starting the Prefect server and the platform"
        with self.live.activities.during("starting the servers and loading the year"):
            server, platform = self._start_servers()
        from level4_deployment.delivery.flow import delivery
        from level5_monitoring.loop.controller import TRIALS

        self.trains = show_trainings(self.live.activities)
        if not audit.last_move(self.live.log):
            self.live.stage = "training the first model"
            run_flow.run_flow(server, delivery, str(self.settings.today), self.platform_home, TRIALS)
        platform.wait_until_ready()
        return server

    def _start_servers(self) -> tuple[prefect_server.PrefectServer, platform_process.RunningPlatform]:
        server = self.opened.enter_context(prefect_server.prefect_server(self.settings))
        mlflow_runs.open_tracking(self.settings)  # makes the store's tables, before the platform looks for them
        options = ["--approval", "--workers", "1"]  # a worker takes 120 MB, and the replay is one client
        platform = self.opened.enter_context(platform_process.running_platform(self.platform_home, *options))
        self._offer_pages()
        self._load_year()
        server.wait()
        self.live.links = {"Prefect": f"{server.address}/runs", **self.live.links}
        platform.wait_for_control()
        return server, platform

    def _load_year(self) -> None:
        """Load the flights, which then are at hand, and build the monitors' reference if there is none."""
        flights = load_flights(self.settings)
        try:
            load_reference(self.own)
        except UserError:  # there is none yet, or it is garbled
            build_reference(history(flights, self.settings.now)).save(self.own)

    def _offer_pages(self) -> None:
        """Link to MLflow's and Evidently's pages, which start when they are opened; so do Evidently's reports."""
        store, workspace = mlflow_runs.tracking_uri(self.settings), self.own / evidently_reports.WORKSPACE
        workspace.mkdir(exist_ok=True)

        def mlflow(port: int) -> Process:
            return self.opened.enter_context(mlflow_pages(port, store, self.own / "mlflow-pages.log"))

        def evidently(port: int) -> Process:
            words = evidently_reports.pages(workspace, port)
            self.reports_wanted = True
            self.report()
            return self.opened.enter_context(running(words, self.own / evidently_reports.LOG))

        self.live.pages.offer("MLflow", mlflow, mlflow_runs.page_of_runs(""))
        known_at = evidently_reports.known_at
        self.live.pages.offer("Evidently", evidently, evidently_reports.PAGE, known_at, lambda: self.reports)
        pages = {name: f"{self.address}/pages/{name}" for name in self.live.pages.all}
        self.live.links = {**self.live.links, **pages}  # the drawing thread reads the old one

    def play(self, server: prefect_server.PrefectServer) -> None:
        """Replay the year from the end of the log, with a turn of the loop each night."""
        from prefect import flow

        from level5_monitoring.live_year.replay_year import play, remaining_ticks
        from level5_monitoring.loop.flow import open_loop

        try:
            calendars.read_predictions(self.own)
        except (FileNotFoundError, StateError):
            training = self.opened.enter_context(calendars.calendar_training(self.settings, busy=self.trains))
            self.live.activities.begin("training other policies", training.over, lambda: training.share)

        about = "Live flights by the demo's clock, and a turn of the loop each night."

        @flow(name="live year", flow_run_name="live year by the demo's clock", description=about)
        def live_year() -> int:
            with open_loop() as loop:
                hours = self.live.clock.paced(remaining_ticks(loop, LAST_TODAY, HOUR, load_flights(self.settings)))
                return play(loop, hours, lambda decision: self.report(decision.day)).flights

        self.playing, self.live.stage = True, "live"
        run_flow.run_flow(server, live_year)
        self.playing = False
        if not self.live.clock.stopped:
            self.live.stage = "the year is over: make down, then make up FRESH=1"
            self.report_rest()

    def report(self, day: str | None = None) -> None:
        """Make Evidently's reports of the closed weeks beside the stream, one process at a time, once they are wanted.

        day: a day that was closed. A week that closes while reports are being made is reported after the next day.
        """
        with self.reporting:
            self.report_due |= day is not None and is_end_of_week(day)
            ready = self.reports_wanted and self.report_due
            if ready and (self.reports is None or self.reports.poll() is not None):
                self.report_due = False
                reports = self.reports = self.opened.enter_context(running(REPORTS, self.own / "reports.log"))
                self.live.activities.begin("making Evidently's reports", lambda: reports.poll() is not None)

    def report_rest(self) -> None:
        """Report the last weeks at the end of the year, since no further day follows."""
        if self.reports:
            self.reports.wait()
        self.report()


def show_trainings(activities: Activities) -> Callable[[], bool]:
    """Show each run of the delivery flow in this process; its share is that of its tasks that are done.

    Returns what tells whether one is under way.
    """
    from mlflow import MlflowClient
    from prefect import Task

    from level3_training_pipeline.pipeline import flow as level3
    from level3_training_pipeline.tracking.registry import MODEL
    from level4_deployment.delivery import flow as level4

    tasks = [one for module in (level3, level4) for one in vars(module).values() if isinstance(one, Task)]
    done: list[str] = []
    going_on: list[str] = []

    def begin(flow: Any, flow_run: Any, state: Any) -> None:  # noqa: ARG001 - as Prefect calls it
        done.clear()
        number = len(MlflowClient().search_model_versions(f"name = '{MODEL}'")) + 1
        going_on.append(f"training version {number}" if number > 1 else "training the first model")
        activities.begin(going_on[-1], lambda: not going_on, lambda: len(done) / len(tasks))

    def end(flow: Any, flow_run: Any, state: Any) -> None:  # noqa: ARG001
        going_on.clear()

    for task in tasks:
        task.on_completion(lambda of, *_run: done.append(of.name))
    level4.delivery.on_running(begin)
    for ended in (level4.delivery.on_completion, level4.delivery.on_failure, level4.delivery.on_crashed):
        ended(end)
    return lambda: bool(going_on)


def run(settings: Settings, opened: ExitStack, doorway: Doorway, address: str) -> None:
    """Put the live page behind the doorway and play, until SIGTERM; after an error the page goes on and shows it."""
    own = config.own(settings)
    log = opened.enter_context(config.open_log(settings))
    explain = {DECISION: f"MLOPS_WORKSPACE={settings.workspace} make explain DECISION={{day}}"}
    live = LivePage(log, own, Clock(own), links=explain, platform_home=config.platform(settings))
    demo = Demo(settings, live, opened, address)
    on_end(demo.stop)
    opened.enter_context(live.drawing())
    doorway.behind = create_app(live)
    try:
        demo.play(demo.start_everything())
    except Exception as error:  # noqa: BLE001 - the page shows any error, and the log has its traceback
        live.stage = f"stopped by an error: {error}"
        console.print(traceback.format_exc())
    live.clock.wait_for_stop()
