"""Level 5, told from top to bottom: the year goes by; what is live is watched, and mended when it needs it."""

from contextlib import ExitStack

from level3_training_pipeline.orchestration import prefect_server, run_flow
from level3_training_pipeline.tracking import mlflow_runs
from level4_deployment.control.platform_process import running_platform
from level4_deployment.delivery.flow import delivery
from level5_monitoring import config, policy_comparison, report
from level5_monitoring.loop.controller import TRIALS
from level5_monitoring.loop.flow import year
from level5_monitoring.monitors.reference import build_reference
from shared.console import closing, headline, step
from shared.data.flights import load_flights
from shared.data.split import history
from shared.progress import keep_summary
from shared.settings import LAST_TODAY, read_settings


def main() -> None:
    """Train once; then nine months of live flights, in which nobody does anything."""
    settings = read_settings()
    platform_home = report.empty_homes(settings)
    with prefect_server.prefect_server(settings) as server, ExitStack() as opened:
        # 1. Data
        headline(f"Level 5 · full MLOps. Today is {settings.today}.")
        with step("Open the tracking store"):
            mlflow_runs.open_tracking(settings)
        platform = opened.enter_context(running_platform(platform_home, "--approval"))
        with step("Load the year, and learn what normal days look like"):
            known = history(load_flights(settings), settings.now)
            build_reference(known).save(config.own(settings))
        with step("Wait for the platform, and for the Prefect server"):
            platform.wait_for_control()
            server.wait()

        # 2. Train
        headline("The first champion; all that come after it come by themselves")
        run_flow.run_flow(server, delivery, str(settings.today), platform_home, TRIALS)
        platform.wait_until_ready()

        # 3. Evaluate
        calendar = opened.enter_context(report.trained_by_calendar(settings))  # what else one might have done

        # 4. Release
        headline(f"Live from {settings.today}: flights as they come, a turn each night; nobody touches anything")
        played = run_flow.run_flow(server, year, str(LAST_TODAY))

        # 5. Operate
        headline("What became of it")
        decided = report.show_decisions(settings)
        table = report.answered(settings, calendar)
        found = policy_comparison.compare_policies(table, decided.counted)
        policy_comparison.show_comparison(table, found)
        report.draw_page(settings)

    # 6. Tell
    loop, weekly = found[policy_comparison.LOOP], found["weekly"]
    keep_summary(settings, "level5", loop.score, steps=loop.steps)
    policy_comparison.keep(settings, found, played.failed)
    adds = {
        "What is live is watched": f"{decided.findings:,} findings on {decided.days} days; {decided.alarms}",
        "A policy decides, on record": decided.kinds,
        "The loop closes": f"{loop.trainings} trainings, {decided.promoted} promotions, steps by hand: {loop.steps}",
        "Worth it": policy_comparison.compare(loop, weekly),
        "Alerts, once": decided.alerts,
        "Nobody is cut off": str(played),
    }
    hurts = {
        "One recipe": "features and model family are chosen by people; the loop trains them anew and nothing else",
        "One history": f"limits come from {len(known):,} flights of one winter; summer drifts from it: {decided.drift}",
        "Is it worth it to you?": policy_comparison.when_not(found),
    }
    closing("Level 5, full MLOps", f"{loop.score} as answered", adds, hurts)
