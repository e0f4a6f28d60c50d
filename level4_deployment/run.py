"""Level 4 from top to bottom: gates and an A/B test, not a person, decide which model serves the users."""

from contextlib import ExitStack

from level2_devops.model import predict
from level3_training_pipeline.orchestration.prefect_server import prefect_server
from level3_training_pipeline.orchestration.run_flow import run_flow
from level3_training_pipeline.tracking import mlflow_runs, registry
from level4_deployment.control.client import PlatformClient
from level4_deployment.control.platform_process import running_platform
from level4_deployment.delivery.flow import delivery, show_report
from level4_deployment.demo import candidates, report
from level4_deployment.demo.console_view import ConsoleView, digests_by_stage, digests_in_a_line
from level4_deployment.demo.drills import kill_a_worker_under_load, roll_back_under_load
from shared.console import closing, part, show_path, step
from shared.data.flights import load_flights
from shared.data.replay import replay
from shared.data.split import future
from shared.progress import keep_summary
from shared.score import score
from shared.settings import read_settings

TRIALS = 4
CAUSE = "a month of newer flights"  # why the challenger is trained
PLAN = {"promote_non_inferior": True}  # it has the champion's recipe, so no gain is required of it


def main() -> None:
    """Deploy two models by pipeline and a flawed one by hand; three months of live flights decide which one serves."""
    settings = read_settings()
    month_before, in_two_months, in_three_months = report.months_around(settings)
    home = report.empty_home(settings)
    with prefect_server(settings) as server, ExitStack() as stack:
        part(1, "Data", "the year, a platform and a Prefect server")
        with step("Open the tracking store"):
            client = mlflow_runs.open_tracking(settings)
        platform = stack.enter_context(running_platform(home))
        with step("Load the year"):
            flights = load_flights(settings)
            later = future(flights, settings.now)
        with step("Wait for the platform and the Prefect server"):
            platform.wait_for_control()
            server.wait()

        part(2, "Train", f"a champion as of {month_before}, a challenger as of {settings.today}")
        run_flow(server, delivery, str(month_before), home, TRIALS)
        platform.wait_until_ready()
        challenger = run_flow(server, delivery, str(settings.today), home, TRIALS, CAUSE, PLAN)

        part(3, "Evaluate", "the gates, and two candidates that must not pass")
        show_report(challenger.version, challenger.report)
        refusals = candidates.try_bad_candidates(server, client, settings, home)
        with step(f"Score version {challenger.version} on the {len(later):,} flights that came after"):
            version = registry.get(client, str(challenger.version))
            overall = score(later["late"], predict(registry.load_version(client, version), later))

        part(4, "Release", f"live flights of {settings.today} to {in_three_months.today}, hour by hour, unattended")
        operator = stack.enter_context(PlatformClient.at(home, "operator"))
        view = ConsoleView(home, stack.enter_context(PlatformClient.at(home, "feed")))
        replayed = view.replay(replay(flights, settings.now, in_two_months.now), platform.service)
        operator.post("/experiment/stop", reason="the two months are over")  # an experiment without a verdict by now
        leaky = candidates.deploy_leaky(server, client, in_two_months, home)
        replayed += view.replay(replay(flights, in_two_months.now, in_three_months.now), platform.service)
        better, worse = report.draw_experiments(home, challenger.version, leaky)
        stages = digests_by_stage(challenger, view.digests[challenger.version])

        part(5, "Operate", "rollback and a killed worker under load; a prediction explained")
        rollback = roll_back_under_load(operator, platform.service, later.head(500), challenger.version, home)
        kill = kill_a_worker_under_load(platform.service, later.head(500), home)
        traced = report.show_explanation(settings, home, replayed.last_request)
        served = report.show_served(home)

    part(6, "Report", "what holds, and what still hurts")
    keep_summary(settings, "level4", overall, steps=0)  # no manual step from new data to the users
    refused = sum(map(bool, refusals.values()))
    adds = {
        "Deployment is a stage": f"version {challenger.version}, from data to {challenger.experiment}, in one flow",
        "One package everywhere": digests_in_a_line(stages),
        "Gates": f"{len(challenger.report.gates)} gates; {refused} of {len(refusals)} bad candidates refused",
        "A/B test": report.verdict_in_a_line(better),
        "Live labels overrule": report.verdict_in_a_line(worse),
        "Live requests": str(replayed),
        "Rollback by one command": str(rollback),
        "A worker is killed": str(kill),
        "A prediction is traced": traced,
    }
    hurts = {
        "Trained by the calendar": f"as of {settings.today} and {in_two_months.today}, needed or not",
        "No monitors of the model": f"{served}; no alert",
        "No monitors of the data": "flights from a faulty feed are scored like any other",
    }
    look = {
        show_path(home / f"{better.experiment}.png"): "the verdict, day by day",
        "make platform": "it runs on; beside it: make experiments",
    }
    after = "make level5 · monitors, and a loop that retrains, tests and promotes"
    closing("Level 4 · automated deployment", f"{overall} after {settings.today}", adds, hurts, look, after)
    claims = report.service_claims(replayed, rollback, kill)
    report.check(claims + report.release_claims(settings.today, refusals, better, worse, stages))
