"""Level 3 from top to bottom: training runs as a pipeline, and everything about it is recorded."""

from level2_devops.model import predict
from level3_training_pipeline import demo
from level3_training_pipeline.deploy import deploy
from level3_training_pipeline.orchestration.prefect_server import prefect_server
from level3_training_pipeline.orchestration.run_flow import run_training
from level3_training_pipeline.pipeline import data
from level3_training_pipeline.tracking import mlflow_runs, registry
from shared.console import closing, console, in_one_line, part, show_by_month, show_manual_steps, step
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
        part(1, "Data", "the history, and a gate for stale labels")
        with step("Load the year"):
            later = future(load_flights(settings), settings.now)
        with step("Validate a copy without the labels of the last three days"):
            gate = demo.check_stale_labels(data.gather(settings))
        console.print(f"  refused: {gate}")
        with step("Open the tracking store"):
            client = mlflow_runs.open_tracking(settings)
        with step("Wait for the Prefect server"):
            server.wait()

        part(2, "Train", "a pipeline, which records what it does")
        number = run_training(server, today, again=anew)
        with in_one_line("The same pipeline once more, on purpose"):
            again = run_training(server, today)

    part(3, "Evaluate", "beside baselines, and by slice")
    version = registry.get(client, str(number))
    trials = demo.show_trials(client, version)
    slices = demo.show_evaluation(client, version)

    part(4, "Release", f"version {number}, into level 2's service")
    _, rebuilt = deploy(str(number), settings, user())
    version = registry.get(client, str(number))
    lineage = demo.show_lineage(version)

    part(5, "Operate", "the flights that came after, by month")
    with step("Score the flights that came after"):
        probability = predict(registry.load_version(client, version), later)
        overall, months = score(later["late"], probability), by_month(later, probability)
    show_by_month("All labelled flights after today, with the model unchanged", months, overall)

    part(6, "Report", "what people did by hand")
    manual_steps = show_manual_steps(demo.MANUAL_STEPS)
    test_flights = client.get_run(version.run_id).data.metrics["test_rows"]
    first, worst = months.iloc[0], months.iloc[months["log_loss"].argmax()]
    adds = {
        "Training is a pipeline": demo.describe_pipeline(again),
        "Stale labels stop it": gate.partition(",")[0],
        "Every trial is recorded": trials,
        "Evaluated by slice": slices,
        "Versions with lineage": lineage,
        "Reproducible": f"{rebuilt.differing} of {rebuilt.rows:,} predictions differ when built again",
        "Deployed by one command": "release {release} by {deployed_by}".format(**version.tags),
    }
    hurts = {
        "A person decides": manual_steps,
        "No test on live flights": f"evaluated on {test_flights:,.0f} flights of the past only",
        "No monitoring": f"log loss {first.log_loss:.2f} in {first.name}, {worst.log_loss:.2f} in {worst.name}",
    }
    look = {
        "make ui": "the runs, trials and versions, in MLflow and Prefect",
        f"make reproduce VERSION={number}": "built again from its record, and compared",
    }
    keep_summary(settings, "level3", overall, steps=len(demo.MANUAL_STEPS))
    result = f"{overall} of {first.name} to {months.index[-1]}"
    after = "make level4 · gates and live flights, not a person, decide what serves"
    closing("Level 3 · training pipeline", result, adds, hurts, look, after)
