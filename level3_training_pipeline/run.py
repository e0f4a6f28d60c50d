"""Level 3 from top to bottom: training runs as a pipeline, and everything about it is recorded."""

from level2_devops.model import predict
from level3_training_pipeline import demo
from level3_training_pipeline.deploy import deploy
from level3_training_pipeline.orchestration.prefect_server import prefect_server
from level3_training_pipeline.orchestration.run_flow import run_training
from level3_training_pipeline.pipeline import data
from level3_training_pipeline.tracking import mlflow_runs, registry
from shared.console import closing, console, headline, show_by_month, show_manual_steps, step
from shared.data.flights import load_flights
from shared.data.split import future
from shared.progress import keep_summary
from shared.score import by_month, score
from shared.settings import read_settings, user


def main(*, anew: bool = False) -> None:
    """Train by pipeline, deploy by one command, and build the version again from its record."""
    settings = read_settings()
    today = str(settings.today)
    with prefect_server(settings) as server:
        # 1. Data
        headline(f"Level 3 · automated training. Today is {today}.")
        with step("Load the year"):
            later = future(load_flights(settings), settings.now)
        with step("Validate a copy of the history without the labels of the last three days"):
            gate = demo.check_stale_labels(data.gather(settings))
        with step("Open the tracking store"):
            client = mlflow_runs.open_tracking(settings)
        with step("Wait for the Prefect server"):
            server.wait()

        # 2. Train
        number = run_training(server, today, again=anew)
        console.print("The same pipeline once more, on purpose: a training of which nothing has changed is recognised.")
        again = run_training(server, today)

    # 3. Evaluate
    version = registry.get(client, str(number))
    trials = demo.show_trials(client, version)
    slices = demo.show_evaluation(client, version)

    # 4. Release
    headline(f"Deploy version {number} into level 2's service")
    _, rebuilt = deploy(str(number), settings, user())
    version = registry.get(client, str(number))
    lineage = demo.show_lineage(version)

    # 5. Operate
    with step("Score the flights that came after"):
        probability = predict(registry.load_version(client, version), later)
        overall, months = score(later["late"], probability), by_month(later, probability)
    show_by_month("All labelled flights after today, with the model unchanged", months, overall)

    # 6. Report
    manual_steps = show_manual_steps(demo.MANUAL_STEPS)
    test_flights = client.get_run(version.run_id).data.metrics["test_rows"]
    first, worst = months.iloc[0], months.iloc[months["log_loss"].argmax()]
    adds = {
        "Training is a pipeline": demo.describe_pipeline(number, again),
        "Stale labels stop it": gate,
        "Every trial is recorded": trials,
        "Evaluated by slice, beside baselines": slices,
        "Versions with lineage": lineage,
        "Reproducible": f"{rebuilt.differing} of {rebuilt.rows:,} predictions differ when built again from the record",
        "Deployed by one command": "release {release} by {deployed_by} at {deployed_at}".format(**version.tags),
    }
    hurts = {
        "A person decides what goes live": manual_steps,
        "No comparison on live traffic": f"evaluated on {test_flights:,.0f} flights of the past only",
        "No monitoring": f"log loss {first.log_loss:.2f} in {first.name}, {worst.log_loss:.2f} in {worst.name}",
    }
    keep_summary(settings, "level3", overall, steps=len(demo.MANUAL_STEPS))
    closing("Level 3, training pipeline", f"{overall} of {first.name} to {months.index[-1]}", adds, hurts)
