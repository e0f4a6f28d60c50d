"""Level 4, told from top to bottom: a new model reaches its users by itself, or not at all; evidence decides."""

from contextlib import ExitStack

from level3_training_pipeline.orchestration import prefect_server, run_flow
from level3_training_pipeline.tracking import mlflow_runs
from level4_deployment.control.client import PlatformClient
from level4_deployment.control.platform_process import running_platform
from level4_deployment.delivery.flow import delivery, deployment
from level4_deployment.demo import report
from level4_deployment.demo.candidates import START, leak, register_by_hand
from level4_deployment.demo.console_view import ConsoleView, in_a_line, show_digests
from level4_deployment.demo.drills import kill_a_worker_under_load, roll_back_under_load
from level4_deployment.replay_client import replay_over_http
from shared.console import closing, console, headline, step
from shared.data.flights import load_flights
from shared.data.replay import replay
from shared.data.split import future
from shared.progress import keep_summary
from shared.settings import read_settings

TRIALS = 4


def main() -> None:
    """Deploy two models by pipeline and a mistake by hand; two months of live flights decide about them."""
    settings = read_settings()
    month_ago, one, two = report.months_around(settings)
    home = report.empty_home(settings)
    with prefect_server.prefect_server(settings) as server, ExitStack() as opened:
        # 1. Data
        headline(f"Level 4 · automated deployment. Today is {settings.today}.")
        with step("Open the tracking store"):
            client = mlflow_runs.open_tracking(settings)
        platform = opened.enter_context(running_platform(home))
        with step("Load the year"):
            flights = load_flights(settings)
            later = future(flights, settings.now)
        with step("Wait for the platform, and for the Prefect server"):
            platform.wait_for_control()
            server.wait()

        # 2. Train
        headline(f"By pipeline: a first champion as of {month_ago}, its challenger as of {settings.today}")
        run_flow.run_flow(server, delivery, str(month_ago), home, TRIALS)
        platform.wait_until_ready()
        second = run_flow.run_flow(server, delivery, str(settings.today), home, TRIALS)

        # 3. Evaluate
        headline("At the gates")
        bad = report.refusals(server, client, settings, home)
        gates = report.show_gates(second, bad)
        overall = report.score_version(client, second.version, later)

        # 4. Release
        headline(f"Live: the flights of {settings.today} to {one.today}, hour by hour; nobody touches anything")
        feed, operator = (opened.enter_context(PlatformClient.at(home, name)) for name in ("feed", "operator"))
        view = ConsoleView(operator, home)
        console.print(f"  The plan: {second.report.plan}")
        with view.watch() as tell:
            played = replay_over_http(replay(flights, settings.now, one.now), platform.service, feed, tell)
        operator.post("/experiment/stop", reason="the month is over")  # where no verdict has ended it
        headline(f"As of {one.today}, by hand: a candidate whose evaluation looks far too good")
        with step("Train it, evaluate it, register it"):
            mistaken = register_by_hand(client, one, leak, START, "a mean over the whole day")
        report.show_gates(run_flow.run_flow(server, deployment, mistaken.number, home), {})
        with view.watch() as tell:
            played += replay_over_http(replay(flights, one.now, two.now), platform.service, feed, tell)
        better, worse = report.show_experiments(home, second.version, mistaken.number)
        stages = show_digests(second, view.served[second.version])

        # 5. Operate
        headline("Roll back, and kill a worker, under load; explain an answer")
        drill = roll_back_under_load(operator, platform.service, later.head(500), second.version, home)
        kill = kill_a_worker_under_load(platform.service, later.head(500))
        traced = report.show_explanation(settings, home, played.last_request)
        served = report.show_served(home)

    # 6. Tell
    keep_summary(settings, "level4", overall, steps=0)  # between new data and users, nobody acts
    adds = {
        "Deployment is a stage": f"version {second.version}, from data to experiment {second.experiment} in one flow",
        "One package at every stage": in_a_line(stages),
        "Gates": gates,
        "A/B test": f"version {second.version} {better.state}: {better.reason}",
        "Live traffic has the last word": f"version {mistaken.number} {worse.state}: {worse.reason}",
        "Nobody is cut off": str(played),
        "Rollback by one command": str(drill),
        "A worker is killed": str(kill),
        "From an answer back to its data": traced,
    }
    hurts = {
        "Trained by the calendar": f"as of {settings.today} and {one.today}, needed or not",
        "Nobody watches the model": f"log loss of what was answered, {served}; nobody was told",
        "Nobody watches the data": "a fault in the feed is scored like any flight",
    }
    closing("Level 4, automated deployment", f"{overall} after {settings.today}", adds, hurts)
    report.must_hold(report.claims(played, drill, kill, bad) | report.verdicts(settings.today, better, worse, stages))
