"""Level 3, told from top to bottom: training runs by itself, and everything about it is on record."""

from level2_devops.model import predict
from level3_training_pipeline import demo
from level3_training_pipeline.deploy import deploy
from level3_training_pipeline.orchestration.prefect_server import prefect_server
from level3_training_pipeline.orchestration.run_flow import run_training
from level3_training_pipeline.pipeline import data
from level3_training_pipeline.tracking import mlflow_runs, registry
from shared.console import closing, headline, show_acts, step
from shared.data.flights import load_flights
from shared.data.split import future
from shared.progress import keep_summary
from shared.score import score
from shared.settings import read_settings, user


def main() -> None:
    """Train by pipeline, deploy by one command, build the version again, and tell what it is worth."""
    settings = read_settings()
    today = str(settings.today)
    with prefect_server(settings) as server:
        # 1. Data
        headline(f"Level 3 · automated training. Today is {today}.")
        with step("Load the year"):
            later = future(load_flights(settings), settings.now)
        with step("Let the labels of a copy of the history stop three days ago"):
            gate = demo.stale_labels_stop(data.gather(settings))
        with step("Open the tracking store"):
            client = mlflow_runs.open_tracking(settings)
        with step("Wait for the Prefect server"):
            server.wait()

        # 2. Train
        number = run_training(server, today)
        again = run_training(server, today)

    # 3. Evaluate
    version = registry.get(client, str(number))
    trials = demo.show_trials(client, version)
    slices = demo.show_evaluation(client, version)

    # 4. Release
    headline(f"Deploy version {number} into level 2's service")
    rebuilt = deploy(str(number), settings, user()).rebuilt
    version = registry.get(client, str(number))
    lineage = demo.show_lineage(version)

    # 5. Operate
    with step("Score the flights that came after"):
        probability = predict(registry.load_version(client, version), later)
        overall = score(later["late"], probability)
    months = demo.show_by_month(later, probability, overall)

    # 6. Tell
    keep_summary(settings, "level3", overall, steps=len(demo.ACTS))
    people, judged = show_acts(demo.ACTS), client.get_run(version.run_id).data.metrics["test_rows"]
    first, worst = months.iloc[0], months.iloc[months["log_loss"].argmax()]
    adds = {
        "Training is a pipeline": demo.pipeline(number, again),
        "A label feed that stopped stops it": gate,
        "Every trial is on record": trials,
        "Evaluated by slice, beside baselines": slices,
        "Versions with lineage": lineage,
        "Reproducible": f"{rebuilt.differing} of {rebuilt.rows:,} predictions differ when built again from the record",
        "Deployed by one command": "release {release} by {deployed_by} at {deployed_at}".format(**version.tags),
    }
    hurts = {
        "A person decides what goes live": people,
        "Nobody compares on live traffic": f"judged on {judged:,.0f} flights of the past only",
        "Nobody watches": f"log loss {first.log_loss:.3f} in {first.name}, {worst.log_loss:.3f} in {worst.name}",
    }
    closing("Level 3, training pipeline", f"{overall} of {first.name} to {months.index[-1]}", adds, hurts)
