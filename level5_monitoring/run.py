"""Level 5, from top to bottom: one training by hand, then nine months in production, unattended."""

from contextlib import ExitStack

from level3_training_pipeline.orchestration import prefect_server, run_flow
from level3_training_pipeline.tracking import mlflow_runs
from level4_deployment.control.platform_process import running_platform
from level4_deployment.delivery.flow import delivery
from level5_monitoring import config, policy_comparison, replay_year, report
from level5_monitoring.dashboard import page
from level5_monitoring.loop.controller import TRIALS
from level5_monitoring.monitors.reference import build_reference
from shared.console import closing, console, part, show_path, step
from shared.data.flights import load_flights
from shared.data.split import history
from shared.processes.children import running
from shared.progress import keep_summary
from shared.settings import LAST_TODAY, read_settings


def main() -> None:
    """Train the first model, then let the loop monitor, retrain, test and promote until the end of the year."""
    settings = read_settings()
    platform_home = replay_year.clear_last_year(settings)
    own = config.own(settings)
    with prefect_server.prefect_server(settings) as server, ExitStack() as opened:
        part(1, "Data", "the year, and the monitors' reference from January to March")
        with step("Open the tracking store"):
            mlflow_runs.open_tracking(settings)
        platform = opened.enter_context(running_platform(platform_home, "--approval"))
        with step("Load the year, and build the monitors' reference from January to March"):
            known = history(load_flights(settings), settings.now)
            build_reference(known).save(own)
        with step("Wait for the platform, and for the Prefect server"):
            platform.wait_for_control()
            server.wait()

        part(2, "Train", "the first champion; the loop trains all later versions")
        run_flow.run_flow(server, delivery, str(settings.today), platform_home, TRIALS)
        platform.wait_until_ready()

        part(3, "Evaluate", "policies by the calendar, to compare the loop with")
        # They are trained in a process beside this one.
        calendar = opened.enter_context(running(policy_comparison.TRAIN, own / policy_comparison.LOG_FILE))

        part(4, "Release", f"live flights from {settings.today}, and a turn of the loop each night, unattended")
        played = run_flow.run_flow(server, replay_year.year, str(LAST_TODAY))

        part(5, "Operate", "the year in figures")
        summary = report.show_decisions(settings)
        table = policy_comparison.collect_predictions(settings, calendar)
        results = policy_comparison.compare_policies(table, summary.effort, policy_comparison.days_of_loop(settings))
        policy_comparison.show_comparison(table, results)
        with step("Draw the year on one page"):
            file = page.write_page(settings)
        console.print(f"  the year on one page: {file}")

    part(6, "Report", "what holds, and what still hurts")
    loop = results[policy_comparison.LOOP]
    keep_summary(settings, "level5", loop.score, steps=loop.effort.steps)
    policy_comparison.keep_results(settings, results, played.failed)
    steps = f"{loop.effort.steps} manual steps"
    adds = {
        "Monitors": f"{summary.monitor_results:,} results on {summary.days} days; alarms: {summary.alarms}",
        "False alarms, in a year without faults": summary.false_alarms,
        "A policy decides, on record": summary.kinds,
        "The loop closes": f"{loop.effort.trainings} trainings, {summary.promoted} promotions, {steps}",
        "Worth it": policy_comparison.summarise(results),
        "Each alert once": summary.alerts,
        "No user is cut off": str(played),
    }
    hurts = {
        "One recipe": "people choose features and model family; the loop only retrains the same recipe",
        "One reference": f"thresholds come from {len(known):,} winter flights; weeks in drift: {summary.drift}",
        "Is it worth it to you?": policy_comparison.when_not(results),
    }
    look = {
        show_path(file): "the year on one page",
        "make explain DECISION=2013-05-06": "why the loop acted, or did not, on a day",
        "make up": "the year once more, with a clock and faults to inject",
    }
    closing("Level 5 · full MLOps", f"{loop.score} as served", adds, hurts, look, "make up")
