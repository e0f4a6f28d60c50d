"""Level 5, from top to bottom: one training by hand, then nine months in production, unattended."""

from contextlib import ExitStack

from level3_training_pipeline.orchestration import prefect_server, run_flow
from level3_training_pipeline.tracking import mlflow_runs
from level4_deployment.control.platform_process import running_platform
from level4_deployment.delivery.flow import delivery
from level5_monitoring import config, report
from level5_monitoring.dashboard import page
from level5_monitoring.live_year import replay_year
from level5_monitoring.loop.controller import TRIALS
from level5_monitoring.monitors.reference import build_reference
from level5_monitoring.policy_backtest import calendars, comparison
from shared.console import closing, part, show_path, step
from shared.data.flights import load_flights
from shared.data.split import history
from shared.progress import keep_summary
from shared.settings import LAST_TODAY, read_settings


def main() -> None:
    """Train the first model, then let the loop monitor, retrain, test and promote until the end of the year."""
    settings, faults = read_settings(), config.faults()
    platform_home = replay_year.clear_last_year(settings)
    own = config.own(settings)
    with prefect_server.prefect_server(settings) as server, ExitStack() as opened:
        part(1, "Data", "the year, and what the monitors take for normal")
        with step("Open the tracking store"):
            mlflow_runs.open_tracking(settings)
        platform = opened.enter_context(running_platform(platform_home, "--approval"))
        with step(f"Build the monitors' reference of what is known on {settings.today}"):
            known = history(load_flights(settings), settings.now)
            build_reference(known).save(own)
        with step("Wait for the platform, and for the Prefect server"):
            platform.wait_for_control()
            server.wait()

        part(2, "Train", "the first champion; the loop trains all later versions")
        run_flow.run_flow(server, delivery, str(settings.today), platform_home, TRIALS)
        platform.wait_until_ready()

        part(3, "Evaluate", "policies by the calendar, trained in a thread beside the live year")
        calendar = opened.enter_context(calendars.calendar_training(settings, faults=faults))

        part(4, "Release", "live to the end of 2013, unattended: a turn of the loop each night")
        played = run_flow.run_flow(server, replay_year.year, str(LAST_TODAY))

        part(5, "Operate", "the year in figures")
        calendar.wait()
        table = calendars.collect_predictions(settings)
        summary = report.summarise_year(settings)
        faults_met = report.show_faults(settings, table)
        results = comparison.compare_policies(table, summary.effort, comparison.days_of_loop(settings))
        comparison.show_comparison(table, results)
        comparison.keep_results(settings, results, played.failed, faults=faults)
        with step("Draw the year on one page"):
            file = page.write_page(settings)

    part(6, "Report", "what holds, and what still hurts")
    loop, weekly = results[calendars.LOOP], results["weekly"]
    trainings = f"{loop.effort.trainings} trainings instead of {weekly.effort.trainings}"
    losses = {name: one.score.log_loss for name, one in results.items()}
    clean = comparison.clean_losses(table) or losses
    if faults:  # the progression is of the year with faults
        keep_summary(settings, "level5", loop.score, steps=loop.effort.steps)
    adds = {
        "Monitors": f"{summary.monitor_results:,} results on {summary.days} days; false alarms: {summary.false_alarms}",
        **{f"Fault {number}": f"{one.what}: {one.seen}" for number, one in enumerate(faults_met, start=1)},
        "The loop closes": f"{trainings}, promotions: {summary.promoted}, manual steps: {loop.effort.steps}",
        "Worth it": f"log loss {comparison.summarise(losses)}",
        "Each alert once": summary.alerts,
        "No user is cut off": str(played),
    }
    hurts = {
        "One recipe": "people choose features and model; the loop retrains those",
        "One reference": f"limits of {len(known):,} flights; alarms of weekly drift: {summary.drift}",
        "Is it worth it?": f"without faults: {comparison.summarise(clean)}",
    }
    look = {
        show_path(file): "the year on one page",
        f"make explain DECISION={summary.example_day}": "a decision, its evidence, what followed",
        "make level5 FAULTS=none" if faults else "make level5": f"the year {'without' if faults else 'with'} faults",
    }
    result = f"{loop.score} as served" + (f", faults: {len(faults_met)}" if faults_met else "")
    after = "make up · the year by a clock, with faults that you inject"
    closing("Level 5 · full MLOps", result, adds, hurts, look, after)
