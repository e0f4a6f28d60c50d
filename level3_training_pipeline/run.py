"""Level 3, told from top to bottom: training runs by itself, and everything about it is on record."""

import getpass

from level2_devops import load, predict
from level3_training_pipeline import data, registry, story, tracking
from level3_training_pipeline.deploy import deploy
from level3_training_pipeline.prefect_server import prefect_server
from level3_training_pipeline.reproduce import reproduce
from level3_training_pipeline.run_flow import run_training
from shared.console import closing, headline, step
from shared.flights import load_flights
from shared.progress import keep_summary
from shared.score import score
from shared.settings import read_settings
from shared.split import future


def main() -> None:
    """Train by pipeline, deploy by one command, build the version again, and tell what it is worth."""
    settings = read_settings()
    today, who = str(settings.today), getpass.getuser()
    with prefect_server(settings) as server:
        # 1. Data
        headline(f"Level 3 · automated training. Today is {today}.")
        with step("Load the year"):
            flights = load_flights(settings)
        gate = story.spoilt_data_stops(settings, data.gather(settings))
        client = tracking.open_tracking(settings)
        with step("Wait for the Prefect server"):
            server.wait()

        # 2. Train
        number = run_training(server, today)
        again = run_training(server, today)

    # 3. Evaluate
    version = registry.get(client, str(number))
    trials = story.show_trials(client, version)
    slices = story.show_evaluation(client, version)

    # 4. Release
    headline(f"Deploy version {number} into level 2's service")
    release = deploy(str(number), settings, who)
    version = registry.get(client, str(number))
    story.show_lineage(version)

    # 5. Operate
    with step(f"Build version {number} again from its record"):
        rebuilt = reproduce(str(number), settings)
    with step("Score the flights that came after"):
        later = future(flights, settings.now)
        model, card = load(registry.as_level_2(registry.fetch(client, version)))
        probability = predict(model, later)
        overall = score(later["late"], probability)
    months = story.show_by_month(later, probability, overall)

    # 6. Tell
    keep_summary(settings, "level3", overall, steps=1)
    worst = months["log_loss"].idxmax()
    closing(
        "Level 3",
        f"log loss {overall.log_loss:.4f}, AUC {overall.auc:.4f} on {overall.rows:,} flights after {today}",
        {
            "training is a pipeline": f"7 steps, one command; given again: version {again}, nothing trained twice",
            "bad data stop it": gate,
            "every trial is on record": trials,
            "evaluated by slice and against baselines": slices,
            "versions with lineage": f"version {number} → run {version.run_id[:8]} → commit {version.tags['commit'][:8]} → data {version.tags['data_digest'][:8]}",
            "reproducible": f"{rebuilt.differing} of {rebuilt.rows:,} predictions differ after a rebuild from the record",
            "deployed by one command": f"release {release.version} by {version.tags['deployed_by']} at {version.tags['deployed_at']}",
        },
        {
            "a person decides what goes live": f"1 human step: {who} gave the deploy command",
            "nobody compares on live traffic": f"judged on {client.get_run(version.run_id).data.metrics['test_rows']:,.0f} flights of the past only",
            "nobody watches": f"frozen since {card.trained_as_of}: log loss {months['log_loss'].iloc[0]:.4f} in the first month, {months['log_loss'][worst]:.4f} in {worst}",
        },
    )
