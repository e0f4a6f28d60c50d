"""Level 5, told from top to bottom: the year goes by; what is live is watched, and mended when it needs it."""

from contextlib import ExitStack

from level3_training_pipeline import prefect_server, run_flow, tracking
from level4_deployment.flow import delivery
from level4_deployment.process import running_platform
from level5_monitoring import compared, home, story
from level5_monitoring.flow import year
from level5_monitoring.loop import TRIALS
from level5_monitoring.reference import build_reference
from shared.console import closing, headline, step
from shared.flights import load_flights
from shared.progress import keep_summary
from shared.settings import LAST_TODAY, read_settings
from shared.split import history


def main() -> None:
    """Train once; then nine months of live flights, in which nobody does anything."""
    settings = read_settings()
    platform_home = story.empty_homes(settings)
    with prefect_server.prefect_server(settings) as server, ExitStack() as opened:
        # 1. Data
        headline(f"Level 5 · full MLOps. Today is {settings.today}.")
        with step("Open the tracking store"):
            tracking.open_tracking(settings)
        platform = opened.enter_context(running_platform(platform_home, "--approval"))
        with step("Load the year, and learn what normal days look like"):
            known = history(load_flights(settings), settings.now)
            build_reference(known).save(home.own(settings))
        with step("Wait for the platform, and for the Prefect server"):
            platform.wait_for_control()
            server.wait()

        # 2. Train
        headline("The first champion; all that come after it come by themselves")
        run_flow.run_flow(server, delivery, str(settings.today), platform_home, TRIALS)
        platform.wait_until_ready()

        # 3. Evaluate
        calendar = opened.enter_context(story.trained_by_calendar(settings))  # what else one might have done

        # 4. Release
        headline(f"Live from {settings.today}: flights as they come, a turn each night; nobody touches anything")
        played = run_flow.run_flow(server, year, str(LAST_TODAY))

        # 5. Operate
        headline("What became of it")
        decided = story.show_decisions(settings)
        table = story.answered(settings, calendar)
        found = compared.worth(table, decided.counted)
        compared.show_worth(table, found)
        story.draw_page(settings)

    # 6. Tell
    loop, weekly = found[compared.LOOP], found["weekly"]
    keep_summary(settings, "level5", loop.score, steps=loop.steps)
    compared.keep(settings, found, played.failed)
    adds = {
        "What is live is watched": f"{decided.findings:,} findings on {decided.days} days; {decided.alarms}",
        "A policy decides, on record": decided.kinds,
        "The loop closes": f"{loop.trainings} trainings, {decided.promoted} promotions, steps by hand: {loop.steps}",
        "Worth it": compared.compare(loop, weekly),
        "Alerts, once": decided.alerts,
        "Nobody is cut off": str(played),
    }
    hurts = {
        "One recipe": "features and model family are chosen by people; the loop trains them anew and nothing else",
        "One history": f"limits come from {len(known):,} flights of one winter; summer drifts from it: {decided.drift}",
        "Is it worth it to you?": compared.when_not(found),
    }
    closing("Level 5, full MLOps", f"{loop.score} as answered", adds, hurts)
