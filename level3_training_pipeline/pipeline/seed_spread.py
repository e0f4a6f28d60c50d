"""How far a score moves by chance: the same training with other seeds, scored on the flights that came after."""

import json
from collections.abc import Callable

from level2_devops.features import CATEGORIES, NUMBERS, features
from level2_devops.model import SEED, fit_features, predict_features
from level3_training_pipeline.pipeline import data
from level3_training_pipeline.tracking import mlflow_runs, registry
from shared.console import show_table
from shared.data.flights import load_flights
from shared.data.split import future
from shared.score import Score, plus_minus, score
from shared.settings import Settings

SEEDS = (SEED, *range(7))  # the levels' own, and seven others
FIGURES = {"log_loss": "log loss", "auc": "AUC"}


def scores_by_seed(number: str, settings: Settings, report: Callable[[], None]) -> dict[str, list[Score]]:
    """The scores of a version's training, and of level 2's on the same flights, one for each of SEEDS.

    Calls `report` after each training. Raises RegistryError where there is no such version.
    """
    client = mlflow_runs.open_tracking(settings)
    version = registry.get(client, number)
    snapshot = data.gather_again(settings, version.tags)
    table = data.read(data.build_features(snapshot))
    later = future(load_flights(settings), snapshot.now)
    inputs = features(later)
    recipes = {f"version {number}": json.loads(version.tags["parameters"]), "level 2's parameters": {}}

    def trained(parameters: dict[str, float], seed: int) -> Score:
        model = fit_features(table[CATEGORIES + NUMBERS], table["late"], **parameters, random_state=seed)
        report()
        return score(later["late"], predict_features(model, inputs))

    return {name: [trained(parameters, seed) for seed in SEEDS] for name, parameters in recipes.items()}


def show_spread(scores: dict[str, list[Score]]) -> None:
    """Print mean ± SD, lowest and highest of log loss and AUC."""
    rows = []
    for name, found in scores.items():
        for figure, title in FIGURES.items():
            values = [getattr(one, figure) for one in found]
            rows.append([name, title, plus_minus(values, 4), f"{min(values):.4f}", f"{max(values):.4f}"])
    flights, seeds = next(iter(scores.values()))[0].rows, len(SEEDS)
    title = f"{seeds} seeds, scored on the {flights:,} flights that came after"
    show_table(title, ["", "", "mean ± SD", "lowest", "highest"], rows)
